"""Writes single messages to a topic, each of which the brokers have once `write` returns."""

from __future__ import annotations

import threading
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

from confluent_kafka import KafkaError, KafkaException

from seldon_kafka.config.clients import producer_config
from seldon_kafka.config.refusal import MAY_NOT_WRITE
from seldon_kafka.config.rights import Right, RightMissing
from seldon_kafka.config.settings import Settings
from seldon_kafka.transport.renewed_producer import NotMade, RenewedProducer

# The client looks once a second for messages whose time is over.
_GRACE_S = 2.0
_POLL_S = 0.05
# For so long a topic that brokers don't know may be one that was made just now.
_NEW_TOPIC_MS = 2000
_NO_TOPIC = (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART)
_NO_ANSWER = (KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT, KafkaError._TRANSPORT)


class NotWritten(Exception):
    """The brokers did not confirm that they have it; the message says why.

    It may be there all the same.
    """


class TopicWriter:
    """Writes to one topic; several threads may use one.

    It connects when the first message is written, so that it can be made before a process forks.

    Args:
        settings: brokers.
        topic: the topic.
        rights: what it takes to write there.
        role: whose rights they are, a key of `seldon_kafka.config.rights.ROLES`.
        within_s: how long the brokers may take.
        properties: librdkafka properties, with `_` for `.`, that this producer needs.

    Raises:
        SettingsError: there is no broker.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        rights: Sequence[Right],
        role: str,
        within_s: float,
        **properties: Any,
    ) -> None:
        self._topic, self._rights, self._role = topic, rights, role
        self._within_s = within_s
        config: Dict[str, Any] = producer_config(
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
        """Writes a message, and waits until the brokers have it.

        Raises:
            NotWritten: the brokers refuse it, or don't answer in time.
        """
        outcome = _Outcome()
        try:
            producer = self._producer.produce(
                self._topic,
                key=key,
                value=value,
                headers=headers,
                timestamp=max(0, timestamp_ms),
                on_delivery=outcome.note,
            )
            self._wait(producer, outcome)
        except NotMade as error:
            why = error.args[0].str()
            raise NotWritten(f"the Kafka client can't be made: {why}") from error
        except BufferError as error:
            raise NotWritten("too much waits for the brokers already") from error
        except KafkaException as error:
            raise self._failure(error.args[0]) from error

    def close(self) -> None:
        """Disconnects, after what is under way has arrived, for which it waits shortly."""
        self._producer.close(_GRACE_S)

    def _wait(self, producer: Any, outcome: _Outcome) -> None:
        give_up_at = time.monotonic() + self._within_s + _GRACE_S
        while not outcome.done.is_set():
            # It may be in another thread's call that ours is told of.
            self._producer.poll(producer, _POLL_S)
            if time.monotonic() > give_up_at:
                raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT))
        if outcome.error is not None:
            raise KafkaException(outcome.error)

    def _failure(self, error: KafkaError) -> NotWritten:
        if error.code() in MAY_NOT_WRITE:
            return NotWritten(str(RightMissing(self._rights, self._role)))
        if error.code() in _NO_TOPIC:
            return NotWritten(
                f"topic {self._topic} is not there; make it with `seldon-kafka topics create`"
            )
        if error.code() in _NO_ANSWER:
            return NotWritten(f"the brokers do not answer within {self._within_s:g} s")
        return NotWritten(f"the brokers do not take it: {error.str()}")


class _Outcome:
    """What became of one message."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.error: Optional[KafkaError] = None

    def note(self, error: Optional[KafkaError], message: Any) -> None:
        self.error = error
        self.done.set()
