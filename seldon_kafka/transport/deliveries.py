"""Hands messages to a producer, and remembers which of them a broker would not take."""

from __future__ import annotations

import functools
import time
from typing import Any, Dict, Iterable, NamedTuple, Optional, Tuple

from confluent_kafka import KafkaError, KafkaException

from seldon_kafka.config.clients import most_bytes, most_log_bytes, producer_config
from seldon_kafka.config.settings import Settings
from seldon_kafka.transport.replies import Outgoing, size_of

# How long a full queue is waited for.
_ROOM_WITHIN_S = 15.0
_POLL_S = 0.05
_QUEUE_KIB = 64 * 1024

# Errors that a message, or the batch that it stands in, has by itself: sending it again in the
# same way can't help.
_REFUSED = (
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError.INVALID_RECORD,
)
# A message that was purged, or stood in one batch with a refused one, fails because of another.
_OTHERS_FAULT = (
    KafkaError._PURGE_QUEUE,
    KafkaError._PURGE_INFLIGHT,
    KafkaError._INVALID_DIFFERENT_RECORD,
)


class Refusal(NamedTuple):
    """A message that a broker won't take as it was sent.

    Attributes:
        topic: where it was to go.
        source: partition and offset of the record that it comes of.
        size: the most bytes that it takes in the log.
        why: the broker's words.
    """

    topic: str
    source: Tuple[int, int]
    size: int
    why: str


class NotCommitted(Exception):
    """The records are to be done again from the last position.

    Attributes:
        refusal: the message that a broker won't take, if that was the reason.
        unknown: whether all may have been published after all; the group's position tells, once
            the publisher has been started again.
    """

    def __init__(
        self, message: str, refusal: Optional[Refusal] = None, *, unknown: bool = False
    ) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.unknown = unknown


class Deliveries:
    """What became of the messages that were handed to a producer."""

    def __init__(self) -> None:
        self._first: Optional[KafkaError] = None
        self._refusal: Optional[Refusal] = None

    @property
    def failed(self) -> bool:
        """Whether a message was not delivered."""
        return self._first is not None

    def produce(self, producer: Any, messages: Iterable[Outgoing]) -> None:
        """Hands messages to the producer; while its queue is full, waits for room.

        Raises:
            BufferError: there was no room in time.
            KafkaException: the producer does not take one of them.
        """
        for message in messages:
            try:
                self._produce(producer, message)
            except BufferError:
                self._produce_when_there_is_room(producer, message)

    def _produce(self, producer: Any, message: Outgoing) -> None:
        try:
            producer.produce(
                message.topic,
                value=message.value,
                key=message.key,
                partition=message.partition,
                timestamp=max(0, message.timestamp_ms),
                headers=message.headers,
                # A delivery report has no headers, so the message itself is kept with it.
                on_delivery=functools.partial(self._note, message),
            )
        except KafkaException as error:
            self._note(message, error.args[0], None)
            raise

    def _produce_when_there_is_room(self, producer: Any, message: Outgoing) -> None:
        give_up_at = time.monotonic() + _ROOM_WITHIN_S
        while True:
            producer.poll(_POLL_S)
            try:
                self._produce(producer, message)
                return
            except BufferError:
                if time.monotonic() > give_up_at:
                    raise

    def _note(self, sent: Outgoing, error: Optional[KafkaError], message: Any) -> None:
        if error is None or error.code() in _OTHERS_FAULT:
            return
        self._first = self._first or error
        if error.code() in _REFUSED and self._refusal is None:
            source = (sent.record.partition, sent.record.offset)
            self._refusal = Refusal(sent.topic, source, size_of(sent), error.str())

    def failure(self, fallback: str, *, unknown: bool = False) -> NotCommitted:
        """What to raise, after which all is forgotten."""
        error, refusal = self._first, self._refusal
        self._first = self._refusal = None
        return NotCommitted(error.str() if error else fallback, refusal, unknown=unknown)


def output_config(settings: Settings, batch_bytes: int) -> Dict[str, Any]:
    """Configuration of the producers that publish.

    Args:
        settings: all of them.
        batch_bytes: largest batch that the topics take.
    """
    most = most_log_bytes(settings) if settings.log_requests else most_bytes(settings)
    config = producer_config(
        settings,
        client_id=settings.worker_id,
        batch_size=batch_bytes,
        message_max_bytes=most,
        # Back-to-back transactions wait for this before they try to add partitions again.
        retry_backoff_ms=10,
        # A message that does not fit would be waited for in vain.
        queue_buffering_max_kbytes=max(_QUEUE_KIB, 2 * most // 1024),
    )
    config["delivery.report.only.error"] = True
    return config
