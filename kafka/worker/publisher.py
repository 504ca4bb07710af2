"""Publishes replies and dead letters together with the offsets of what they answer."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Tuple

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from kafka.clients import producer_config
from kafka.messages import header
from kafka.replies import INPUT_OFFSET, INPUT_PARTITION, Outgoing
from kafka.settings import Settings

log = logging.getLogger("kafka.worker")

# One attempt at a transactional call; unfinished ones are tried again.
_CALL_S = 5.0
# After so long the outcome of a call stays unknown, and a new producer finds it out.
_GIVE_UP_S = 15.0
_QUEUE_FULL_S = 0.05


# Errors that a message has by itself: sending it again can't help.
_REFUSED = (
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError.INVALID_RECORD,
)


class Refusal(NamedTuple):
    """A message that a broker won't take, whatever else is published with it.

    Attributes:
        topic: where it was to go.
        source: partition and offset of the record that it comes of.
        size: bytes of its value.
        why: the broker's words.
    """

    topic: str
    source: Tuple[int, int]
    size: int
    why: str


class NotPublished(Exception):
    """Nothing was published; the records are to be done again from the last position.

    Attributes:
        refusal: the message that a broker won't take, if that was the reason.
    """

    def __init__(self, message: str, refusal: Optional[Refusal] = None) -> None:
        super().__init__(message)
        self.refusal = refusal


# A message that was purged, or stood in one batch with a refused one, fails because of another.
_OTHERS_FAULT = (
    KafkaError._PURGE_QUEUE,
    KafkaError._PURGE_INFLIGHT,
    KafkaError._INVALID_DIFFERENT_RECORD,
)


class _Deliveries:
    """Errors of messages that were handed to a producer."""

    def __init__(self) -> None:
        self.first: Optional[KafkaError] = None
        self._refusal: Optional[Refusal] = None

    def note(self, error: Optional[KafkaError], message: Any) -> None:
        if error is None or error.code() in _OTHERS_FAULT:
            return
        self.first = self.first or error
        if error.code() in _REFUSED and self._refusal is None:
            self._refusal = _refusal(message, error)

    def failure(self, fallback: object) -> NotPublished:
        error, refusal = self.first, self._refusal
        self.first = self._refusal = None
        return NotPublished(str(error.str() if error else fallback), refusal)


def _refusal(message: Any, error: KafkaError) -> Refusal:
    headers = message.headers() or ()
    partition = int(header(headers, INPUT_PARTITION) or b"-1")
    offset = int(header(headers, INPUT_OFFSET) or b"-1")
    return Refusal(message.topic(), (partition, offset), len(message), error.str())


def _config(settings: Settings, batch_bytes: int, deliveries: _Deliveries) -> Any:
    config = producer_config(
        settings,
        client_id=settings.worker_id,
        batch_size=batch_bytes,
        # Back-to-back transactions wait for this before they try to add partitions again.
        retry_backoff_ms=10,
        queue_buffering_max_kbytes=64 * 1024,
    )
    config["on_delivery"] = deliveries.note
    return config


def _produce(producer: Any, message: Outgoing) -> None:
    """Hands a message to the producer; while its queue is full, waits for room."""
    give_up_at = time.monotonic() + _GIVE_UP_S
    while True:
        try:
            producer.produce(
                message.topic,
                value=message.value,
                key=message.key,
                partition=message.partition,
                timestamp=max(0, message.timestamp_ms),
                headers=message.headers,
            )
            return
        except BufferError:
            if time.monotonic() > give_up_at:
                raise
            producer.poll(_QUEUE_FULL_S)


class TransactionalPublisher:
    """Publishes exactly once: messages and offsets in one transaction.

    Args:
        settings: broker and time-outs.
        transactional_id: stable across restarts, so that a successor ends at once what its
            predecessor left open.
        batch_bytes: largest batch that the topics take.
        before_call: called before each call that may take long, for the watchdog.
    """

    def __init__(
        self,
        settings: Settings,
        transactional_id: str,
        batch_bytes: int,
        before_call: Callable[[], None],
    ) -> None:
        self._deliveries = _Deliveries()
        self._config = _config(settings, batch_bytes, self._deliveries)
        self._config["transactional.id"] = transactional_id
        self._config["transaction.timeout.ms"] = settings.transaction_timeout_ms
        self._topic = settings.input_topic
        self._before_call = before_call
        self._producer: Any = None

    def start(self) -> None:
        """Makes the producer and ends what a predecessor of the same id left open.

        Raises:
            NotPublished: the brokers don't answer; try again.
        """
        if self._producer is not None:
            return
        producer = Producer(self._config)
        try:
            self._call(producer.init_transactions)
        except KafkaException as error:
            raise NotPublished(f"no transaction can be started: {_text(error)}") from error
        self._producer = producer

    def publish(
        self,
        messages: Sequence[Outgoing],
        positions: Dict[int, int],
        group_metadata: Any,
    ) -> None:
        """Publishes the messages and commits the positions, or neither.

        Args:
            messages: replies and dead letters.
            positions: by partition of the input topic, the offset to go on from.
            group_metadata: the group's generation when the records were taken.

        Raises:
            NotPublished: neither.
        """
        self.start()
        producer = self._producer
        try:
            producer.begin_transaction()
            for message in messages:
                _produce(producer, message)
            offsets = [TopicPartition(self._topic, *item) for item in positions.items()]
            self._call(producer.send_offsets_to_transaction, offsets, group_metadata)
            self._call(producer.commit_transaction)
            producer.poll(0)
        except (KafkaException, BufferError) as error:
            # Delivery reports first: they say what the transaction failed of.
            with contextlib.suppress(KafkaException):
                producer.poll(0)
            self._abort(error)
            raise self._deliveries.failure(_text(error)) from error

    def _call(self, function: Callable[..., Any], *args: Any) -> None:
        """Calls, and calls again while the outcome is unknown."""
        give_up_at = time.monotonic() + _GIVE_UP_S
        while True:
            self._before_call()
            try:
                function(*args, _CALL_S)
                return
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > give_up_at:
                    raise
                log.warning("%s: again after %s", function.__name__, _text(error))

    def _abort(self, error: Exception) -> None:
        fatal = isinstance(error, KafkaException) and error.args[0].fatal()
        if not fatal:
            try:
                self._call(self._producer.abort_transaction)
                return
            except KafkaException as problem:
                log.warning("the transaction can't be aborted: %s", _text(problem))
        # A new producer of the same id fences this one and ends what it left open. That a
        # transaction outlived its time-out and was fenced for it is no reason to die.
        self._producer = None

    def close(self) -> None:
        """Drops the producer; a transaction is never open between calls."""
        self._producer = None


class PlainPublisher:
    """Publishes at least once: messages first, then the positions.

    Args:
        settings: broker.
        commit: commits positions.
        batch_bytes: largest batch that the topics take.
        before_call: called before each call that may take long, for the watchdog.
    """

    def __init__(
        self,
        settings: Settings,
        commit: Callable[[Dict[int, int]], None],
        batch_bytes: int,
        before_call: Callable[[], None],
    ) -> None:
        self._deliveries = _Deliveries()
        self._producer = Producer(_config(settings, batch_bytes, self._deliveries))
        self._commit = commit
        self._before_call = before_call

    def start(self) -> None:
        """Nothing is open that would need ending."""

    def publish(
        self,
        messages: Sequence[Outgoing],
        positions: Dict[int, int],
        group_metadata: Any,
    ) -> None:
        """Publishes the messages, then commits the positions.

        Raises:
            NotPublished: some messages may be published, the positions are not committed.
        """
        try:
            for message in messages:
                _produce(self._producer, message)
            self._flush()
            if self._deliveries.first is not None:
                raise self._deliveries.failure("")
            self._before_call()
            self._commit(positions)
        except (KafkaException, BufferError) as error:
            raise NotPublished(_text(error)) from error

    def _flush(self) -> None:
        give_up_at = time.monotonic() + _GIVE_UP_S
        self._before_call()
        while self._producer.flush(_CALL_S):
            self._before_call()
            if time.monotonic() > give_up_at:
                self._producer.purge()
                self._producer.flush(_CALL_S)
                raise NotPublished("the brokers did not take the replies in time")

    def close(self) -> None:
        """Drops the producer; nothing is under way between calls."""
        self._producer.flush(_CALL_S)


def _text(error: BaseException) -> str:
    if isinstance(error, KafkaException):
        return str(error.args[0].str())
    return str(error)
