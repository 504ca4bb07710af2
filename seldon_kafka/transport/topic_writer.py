"""Writes single messages to a topic, and waits until the brokers confirm each of them."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import List, Optional, Sequence, Tuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from seldon_kafka.config.clients import producer_config
from seldon_kafka.config.refusal import MAY_NOT_WRITE
from seldon_kafka.config.rights import Right, RightMissing
from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import Json, JsonObject

# The extra wait for the report that a message has timed out: the client library checks that only
# once a second.
_GRACE_S = 2.0
_POLL_S = 0.05
# A topic that was created just now may be unknown to brokers for this time.
_NEW_TOPIC_MS = 2000
_NO_TOPIC = (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART)
_NO_ANSWER = (KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT, KafkaError._TRANSPORT)


WITHIN_S = 10.0
"""Default of the longest wait for the brokers, in seconds."""


class NotWritten(Exception):
    """The brokers did not confirm a message; the text says why.

    The message may be in the topic all the same.
    """


class TopicWriter:
    """Writes to one topic; several threads may share one writer.

    The writer connects at the first message, so that it can be created before a process forks.

    Args:
        settings: brokers.
        topic: the topic.
        rights: the access rights that writing needs.
        role: the role with these rights, a key of `seldon_kafka.config.rights.ROLES`.
        within_s: longest wait for the brokers, in seconds.
        properties: further librdkafka properties of the producer, with `_` for `.`.

    Raises:
        SettingsError: no broker is set.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        rights: Sequence[Right],
        role: str,
        within_s: float = WITHIN_S,
        **properties: object,
    ) -> None:
        self._topic, self._rights, self._role = topic, rights, role
        self._within_s = within_s
        config: JsonObject = producer_config(
            settings,
            client_id=settings.worker_id,
            allow_auto_create_topics=False,
            message_timeout_ms=int(within_s * 1000),
            topic_metadata_propagation_max_ms=_NEW_TOPIC_MS,
            **properties,
        )
        self._producer = RenewedProducer(config)

    def write(
        self,
        key: bytes,
        value: bytes,
        headers: List[Tuple[str, Optional[bytes]]],
        timestamp_ms: int,
    ) -> None:
        """Writes a message, and waits until the brokers confirm it.

        Raises:
            NotWritten: the message can't be sent, or the brokers refuse it or don't answer in time.
        """
        report = _DeliveryReport()
        try:
            producer = self._producer.produce(
                self._topic,
                key=key,
                value=value,
                headers=headers,
                timestamp=max(0, timestamp_ms),
                on_delivery=report.store,
            )
            self._wait(producer, report)
        except NotCreated as error:
            why = error.args[0].str()
            raise NotWritten(f"the Kafka client can't be created: {why}") from error
        except BufferError as error:
            raise NotWritten("too many messages wait for the brokers") from error
        except KafkaException as error:
            raise self._failure(error.args[0]) from error

    def close(self) -> None:
        """Disconnects, after waiting up to 2 s for messages that are under way."""
        self._producer.close(_GRACE_S)

    def _wait(self, producer: Producer, report: _DeliveryReport) -> None:
        give_up_at = time.monotonic() + self._within_s + _GRACE_S
        while not report.done.is_set():
            # Another thread's `poll` may serve this report, so the wait is short.
            self._producer.poll(producer, _POLL_S)
            if time.monotonic() > give_up_at:
                raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT))
        if report.error is not None:
            raise KafkaException(report.error)

    def _failure(self, error: KafkaError) -> NotWritten:
        if error.code() in MAY_NOT_WRITE:
            return NotWritten(str(RightMissing(self._rights, self._role)))
        if error.code() in _NO_TOPIC:
            return NotWritten(
                f"topic {self._topic} does not exist; create it with `seldon-kafka topics create`"
            )
        if error.code() in _NO_ANSWER:
            return NotWritten(f"the brokers do not answer within {self._within_s:g} s")
        return NotWritten(f"the brokers refuse the message: {error.str()}")


class _DeliveryReport:
    """The delivery report of one message.

    Attributes:
        done: set once the report has arrived.
        error: why the message was not written; None if it was, and before the report.
    """

    def __init__(self) -> None:
        self.done = threading.Event()
        self.error: Optional[KafkaError] = None

    def store(self, error: Optional[KafkaError], message: Message) -> None:
        self.error = error
        self.done.set()


class NotCreated(KafkaException):
    """The client library can't create a producer with these properties."""


class RenewedProducer:
    """A producer that is created at its first use, and again after a fatal error.

    A fatal error of librdkafka makes a producer unusable for good. A missing right to write is such
    an error: once the right is granted, only a new producer works. Several threads may share one
    `RenewedProducer`.

    Args:
        config: properties of a `confluent_kafka.Producer`.
    """

    def __init__(self, config: JsonObject) -> None:
        self._config = config
        self._current: Optional[Producer] = None
        self._lock = threading.Lock()

    def is_current(self, producer: Producer) -> bool:
        """Returns whether the next message goes to this producer."""
        return self._current is producer

    def produce(self, topic: str, **message: Json) -> Producer:
        """Queues a message, and returns the `Producer` that took it, which the caller must poll.

        Raises:
            NotCreated: no producer can be created.
            KafkaException, BufferError: the producer refuses the message.
        """
        producer = self._get_or_create()
        try:
            producer.produce(topic, **message)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._FATAL:
                raise
            # The producer had a fatal error after its last call.
            self._discard(producer)
            producer = self._get_or_create()
            producer.produce(topic, **message)
        return producer

    def poll(self, producer: Producer, timeout_s: float) -> None:
        """Serves delivery reports of a producer that took a message.

        Raises:
            KafkaException: the producer had a fatal error; its delivery reports are served all the
                same.
        """
        try:
            producer.poll(timeout_s)
        except KafkaException:
            self._discard(producer)
            raise

    def close(self, within_s: float) -> None:
        """Disconnects, after waiting at most this long for messages that are under way."""
        with self._lock:
            producer, self._current = self._current, None
        if producer is not None:
            # Each message's delivery report already has the error.
            with suppress(KafkaException):
                producer.flush(within_s)

    def _get_or_create(self) -> Producer:
        with self._lock:
            if self._current is None:
                try:
                    self._current = Producer(self._config)
                except KafkaException as error:
                    raise NotCreated(*error.args) from error
            return self._current

    def _discard(self, producer: Producer) -> None:
        with self._lock:
            if self._current is producer:
                self._current = None
