"""Hands messages to a producer, and keeps the delivery errors."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Iterable, NamedTuple, Optional, Tuple, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from seldon_kafka.config.clients import most_bytes, most_log_bytes, producer_config
from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import JsonObject
from seldon_kafka.transport.output_messages import OutputMessage, size_of

if TYPE_CHECKING:
    from confluent_kafka._types import HeadersType

# The longest wait while the producer's queue is full.
_ROOM_WITHIN_S = 15.0
_POLL_S = 0.05
_QUEUE_KIB = 64 * 1024

# Errors of the message itself or of its record batch: the same message would fail again.
_REFUSED = (
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError.INVALID_RECORD,
)
# Errors of a message whose cause is another message: the producer dropped what it had not sent, or
# the same record batch had a refused message.
_CAUSED_BY_ANOTHER = (
    KafkaError._PURGE_QUEUE,
    KafkaError._PURGE_INFLIGHT,
    KafkaError._INVALID_DIFFERENT_RECORD,
)


class Refusal(NamedTuple):
    """A message that a broker refused.

    Attributes:
        topic: the topic that the message was sent to.
        source: partition and offset of the input record.
        size: upper bound of the message's size in the log, in bytes.
        why: text of the broker's error.
    """

    topic: str
    source: Tuple[int, int]
    size: int
    why: str


class NotCommitted(Exception):
    """A commit failed; its records must be answered again from the committed offsets.

    Attributes:
        refusal: the first message that a broker refused; None if none was refused.
        unknown: whether the commit may have succeeded. The committed offsets show its outcome once
            the producer has been started again.
    """

    def __init__(
        self, message: str, refusal: Optional[Refusal] = None, *, unknown: bool = False
    ) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.unknown = unknown


class Deliveries:
    """Hands messages to a producer, and keeps the errors of their deliveries."""

    def __init__(self) -> None:
        self._first: Optional[KafkaError] = None
        self._refusal: Optional[Refusal] = None

    @property
    def failed(self) -> bool:
        """Whether the delivery of a message failed, since the last call of `failure`."""
        return self._first is not None

    def produce(self, producer: Producer, messages: Iterable[OutputMessage]) -> None:
        """Hands messages to the producer, and waits for room while its queue is full.

        Raises:
            BufferError: the producer's queue stayed full for 15 s.
            KafkaException: the producer refuses a message.
        """
        for message in messages:
            try:
                self._produce(producer, message)
            except BufferError:
                self._produce_when_there_is_room(producer, message)

    def _produce(self, producer: Producer, message: OutputMessage) -> None:
        try:
            producer.produce(
                message.topic,
                value=message.value,
                key=message.key,
                partition=message.partition,
                timestamp=max(0, message.timestamp_ms),
                # The stubs want a list of exactly their own type.
                headers=cast("HeadersType", message.headers),
                # A delivery report has no headers, so the callback keeps the message itself.
                on_delivery=functools.partial(self._note, message),
            )
        except KafkaException as error:
            self._note(message, error.args[0], None)
            raise

    def _produce_when_there_is_room(self, producer: Producer, message: OutputMessage) -> None:
        give_up_at = time.monotonic() + _ROOM_WITHIN_S
        while True:
            producer.poll(_POLL_S)
            try:
                self._produce(producer, message)
                return
            except BufferError:
                if time.monotonic() > give_up_at:
                    raise

    def _note(
        self, sent: OutputMessage, error: Optional[KafkaError], message: Optional[Message]
    ) -> None:
        if error is None or error.code() in _CAUSED_BY_ANOTHER:
            return
        self._first = self._first or error
        if error.code() in _REFUSED and self._refusal is None:
            source = (sent.record.partition, sent.record.offset)
            self._refusal = Refusal(sent.topic, source, size_of(sent), error.str())

    def failure(self, fallback: str, *, unknown: bool = False) -> NotCommitted:
        """Returns the error to raise, and forgets the delivery errors.

        Args:
            fallback: text of the error if no delivery failed.
            unknown: whether the commit may have succeeded.
        """
        error, refusal = self._first, self._refusal
        self._first = self._refusal = None
        return NotCommitted(error.str() if error else fallback, refusal, unknown=unknown)


def output_config(settings: Settings, batch_bytes: int) -> JsonObject:
    """Returns the properties of a worker's producer.

    Args:
        settings: the settings.
        batch_bytes: largest record batch that every topic allows, in bytes.
    """
    max_bytes = most_log_bytes(settings) if settings.log_requests else most_bytes(settings)
    config = producer_config(
        settings,
        client_id=settings.worker_id,
        batch_size=batch_bytes,
        message_max_bytes=max_bytes,
        # If a transaction follows another at once, librdkafka adds the partitions of the second one
        # only after this time.
        retry_backoff_ms=10,
        # A message that is larger than the queue could never be sent.
        queue_buffering_max_kbytes=max(_QUEUE_KIB, 2 * max_bytes // 1024),
    )
    config["delivery.report.only.error"] = True
    return config
