"""Writes feedback to its topic, from outside of the workers."""

from __future__ import annotations

from seldon_kafka.codec.feedback import BadFeedback, Feedback, compose
from seldon_kafka.config.rights import feedback_rights
from seldon_kafka.config.settings import Settings
from seldon_kafka.transport.topic_writer import TopicWriter

_WITHIN_S = 10.0


class FeedbackWriter:
    """Writes feedback to its topic; several threads may use one.

    It connects when the first one is sent, so that it can be made before a process forks.

    Args:
        settings: brokers, topic, and the largest message.
        within_s: how long the brokers may take.

    Raises:
        SettingsError: there is no broker.
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
            BadFeedback: it makes no sense, or is larger than `KAFKA_MAX_MESSAGE_BYTES`.
            NotWritten: the brokers refuse it, or don't answer in time. To send it again does no
                harm: it says the same.
        """
        key, value, headers = compose(feedback)
        if len(value) > self._max_bytes:
            raise BadFeedback(
                f"it has {len(value)} bytes, more than the {self._max_bytes} allowed; "
                "leave the request or the response out"
            )
        self._writer.write(key, value, headers, feedback.given_ms)

    def close(self) -> None:
        """Disconnects, after what is under way has arrived, for which it waits shortly."""
        self._writer.close()
