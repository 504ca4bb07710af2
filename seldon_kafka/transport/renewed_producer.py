"""A producer that is made when it is first needed, and made anew after it fell."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, Dict

from confluent_kafka import KafkaError, KafkaException, Producer


class NotMade(KafkaException):
    """The client library can't make a producer of these settings."""


class RenewedProducer:
    """Several threads may use one.

    What librdkafka calls a fatal error ends a producer for good, such as one that may write no
    topic; once the right is granted, only another one goes on.

    Args:
        config: of a `confluent_kafka.Producer`.
    """

    def __init__(self, config: Dict[str, Any]) -> None:
        self._config = config
        self._current: Any = None
        self._lock = threading.Lock()

    def is_current(self, producer: Any) -> bool:
        """Whether the next message goes to this one."""
        return self._current is producer

    def produce(self, topic: str, **message: Any) -> Any:
        """Hands a message over, and returns the `Producer` that took it, which is to be polled.

        Raises:
            NotMade: there is none, and none can be made.
            KafkaException, BufferError: it does not take the message.
        """
        producer = self._made()
        try:
            producer.produce(topic, **message)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._FATAL:
                raise
            # It fell after what it was last asked for, and nobody has looked since.
            self._discard(producer)
            producer = self._made()
            producer.produce(topic, **message)
        return producer

    def poll(self, producer: Any, timeout_s: float) -> None:
        """Serves delivery reports of one that took a message.

        Raises:
            KafkaException: it fell; what it still holds is reported all the same.
        """
        try:
            producer.poll(timeout_s)
        except KafkaException:
            self._discard(producer)
            raise

    def close(self, within_s: float) -> None:
        """Disconnects, after what is under way has arrived, for which it waits so long."""
        with self._lock:
            producer, self._current = self._current, None
        if producer is not None:
            # That it fell is no news: each message's delivery report says what became of it.
            with suppress(KafkaException):
                producer.flush(within_s)

    def _made(self) -> Any:
        with self._lock:
            if self._current is None:
                try:
                    self._current = Producer(self._config)
                except KafkaException as error:
                    raise NotMade(*error.args) from error
            return self._current

    def _discard(self, producer: Any) -> None:
        with self._lock:
            if self._current is producer:
                self._current = None
