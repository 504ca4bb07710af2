"""Writes feedback to the feedback topic."""

from __future__ import annotations

from seldon_kafka.codec.feedback import BadFeedback, Feedback, compose
from seldon_kafka.config.rights import feedback_rights
from seldon_kafka.config.settings import Settings
from seldon_kafka.transport.topic_writer import WITHIN_S, TopicWriter


class FeedbackWriter:
    """Writes feedback to the feedback topic; several threads may share a writer.

    The writer connects at the first feedback, so it can be created before a process forks.

    Args:
        settings: brokers, topic, and size limits.
        within_s: longest wait for the brokers, in seconds.

    Raises:
        SettingsError: no broker is set.
    """

    def __init__(self, settings: Settings, within_s: float = WITHIN_S) -> None:
        self._max_bytes = settings.max_message_bytes
        rights = feedback_rights(settings)
        topic = settings.feedback_topic
        self._writer = TopicWriter(settings, topic, rights, "feedback", within_s)

    def __enter__(self) -> FeedbackWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, feedback: Feedback) -> None:
        """Writes feedback, and waits until the brokers acknowledge it.

        Raises:
            BadFeedback: the feedback is invalid, or larger than `KAFKA_MAX_MESSAGE_BYTES`.
            NotWritten: the brokers refuse the feedback, or don't answer in time. The caller may
                send it again.
        """
        key, value, headers = compose(feedback)
        if len(value) > self._max_bytes:
            raise BadFeedback(
                f"the feedback has {len(value)} bytes, more than the {self._max_bytes} allowed; "
                "omit the request or the response"
            )
        self._writer.write(key, value, headers, feedback.given_ms)

    def close(self) -> None:
        """Closes the producer, after a short wait for unacknowledged feedback."""
        self._writer.close()
