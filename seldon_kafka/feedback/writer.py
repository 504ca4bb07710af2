"""Writes feedback to its topic."""

from __future__ import annotations

from seldon_kafka.codec.feedback import BadFeedback, Feedback, compose
from seldon_kafka.config.rights import feedback_rights
from seldon_kafka.config.settings import Settings
from seldon_kafka.transport.topic_writer import TopicWriter

_WITHIN_S = 10.0


class FeedbackWriter:
    """Writes feedback to its topic; several threads may share one.

    It connects at the first feedback, so that it can be made before a process forks.

    Args:
        settings: brokers, topic, and the largest message.
        within_s: longest wait for the brokers, in seconds.

    Raises:
        SettingsError: no broker is set.
    """

    def __init__(self, settings: Settings, within_s: float = _WITHIN_S) -> None:
        self._max_bytes = settings.max_message_bytes
        rights = feedback_rights(settings)
        topic = settings.feedback_topic
        self._writer = TopicWriter(settings, topic, rights, "feedback", within_s)

    def __enter__(self) -> FeedbackWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, feedback: Feedback) -> None:
        """Writes a feedback, and waits until the brokers have it.

        Raises:
            BadFeedback: it is invalid, or larger than `KAFKA_MAX_MESSAGE_BYTES`.
            NotWritten: the brokers refuse it, or don't answer in time. It may be sent again.
        """
        key, value, headers = compose(feedback)
        if len(value) > self._max_bytes:
            raise BadFeedback(
                f"it has {len(value)} bytes, more than the {self._max_bytes} allowed; "
                "leave the request or the response out"
            )
        self._writer.write(key, value, headers, feedback.given_ms)

    def close(self) -> None:
        """Disconnects, after a short wait for feedback that is under way."""
        self._writer.close()
