"""Publishes replies and dead letters together with the offsets of what they answer."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Any, Callable, Dict, Iterable

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from seldon_kafka.config.rights import TRANSACTIONAL_ID, RightMissing, worker_rights
from seldon_kafka.config.settings import Settings
from seldon_kafka.transport.client_calls import bounded_call, nothing
from seldon_kafka.transport.deliveries import Deliveries, NotCommitted, output_config
from seldon_kafka.transport.overheard import ListeningLogger, tells_of_a_broken_connection
from seldon_kafka.transport.replies import Outgoing

log = logging.getLogger("seldon_kafka.worker")

# One attempt at a transactional call; unfinished ones are tried again.
_CALL_S = 5.0
# How much longer one may take that does not keep to this.
_GRACE_S = 1.0
_PAUSE_S = 0.05
# After so long the outcome of a call stays unknown, and a new producer finds it out.
_GIVE_UP_S = 15.0


class _OutputProducer:
    """What both kinds have: a producer that is made when it is needed."""

    def __init__(
        self, settings: Settings, batch_bytes: int, before_call: Callable[[], None]
    ) -> None:
        self._deliveries = Deliveries()
        self._config = output_config(settings, batch_bytes)
        self._before_call = before_call
        self._producer: Any = None

    @property
    def batch_bytes(self) -> int:
        """Largest batch that is sent."""
        return int(self._config["batch.size"])

    def send_smaller(self, batch_bytes: int) -> None:
        """From now on sends smaller batches."""
        self._config["batch.size"] = batch_bytes
        self._producer = None


class TransactionalProducer(_OutputProducer):
    """Publishes exactly once: messages and offsets in one transaction.

    A transaction during which a connection broke or a call had to be repeated is the last of its
    producer. What is still under way of it, in a broker's queue or on a line that was only slow,
    could otherwise be taken for a part of the next one: librdkafka has the first version of the
    transaction protocol only, in which all transactions of a producer look alike
    (https://github.com/confluentinc/librdkafka/issues/5423). A new producer has a new epoch, and
    brokers refuse what comes with an older one.

    Args:
        settings: broker and time-outs.
        transactional_id: stable across restarts, so that a successor ends at once what its
            predecessor left open.
        batch_bytes: largest batch that the topics take.
        before_call: called before each call that may take long, for the watchdog.
        renews: whether a new producer goes on where the last one is of no more use. It fences
            whoever has taken the id over meanwhile, so that what was read before must be read
            again; who can't do that does without.
    """

    def __init__(
        self,
        settings: Settings,
        transactional_id: str,
        batch_bytes: int,
        before_call: Callable[[], None],
        *,
        renews: bool = True,
    ) -> None:
        super().__init__(settings, batch_bytes, before_call)
        self._renews = renews
        self._started = False
        self._config["transactional.id"] = transactional_id
        self._config["transaction.timeout.ms"] = settings.transaction_timeout_ms
        self._config["error_cb"] = self._on_error
        # A connection that a broker closes in an orderly way is no error, and in the log only.
        self._config["logger"] = ListeningLogger(self._config["logger"], self._hear)
        self._topic = settings.input_topic
        self._disturbed = False
        self._rights = [r for r in worker_rights(settings) if r.resource == TRANSACTIONAL_ID]

    def start(self) -> None:
        """Makes the producer and ends what a predecessor of the same id left open.

        Raises:
            NotCommitted: the brokers don't answer; try again.
            RightMissing: transactions are not allowed.
        """
        if self._producer is not None:
            # What happened since the last transaction is told in here.
            self._producer.poll(0)
            if not self._disturbed:
                return
            self._producer = None
            if self._renews:
                log.info("a new producer goes on, which what is left of the last one can't disturb")
        if self._started and not self._renews:
            raise NotCommitted("the connection to the brokers broke")
        producer = Producer(self._config)
        try:
            self._call(producer.init_transactions)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
                raise RightMissing(self._rights) from error
            raise NotCommitted(f"no transaction can be started: {text_of(error)}") from error
        self._producer = producer
        self._started = True
        self._disturbed = False

    def commit(
        self,
        messages: Iterable[Outgoing],
        positions: Dict[int, int],
        group_metadata: Any,
        metadata: str = "",
        meanwhile: Callable[[], bool] = nothing,
    ) -> None:
        """Publishes the messages and commits the positions, or neither.

        Args:
            messages: replies and dead letters.
            positions: by partition of the input topic, the offset to go on from; may be empty.
            group_metadata: the group's generation when the records were taken.
            metadata: is committed with each offset.
            meanwhile: a step of other work while the brokers are waited for; it returns whether
                there is more to do.

        Raises:
            NotCommitted: neither; or, if it says `unknown`, perhaps both.
        """
        self.start()
        producer = self._producer
        rest = iter(messages)
        committing = False

        def produce_and_work_on() -> bool:
            self._deliveries.produce(producer, rest)
            return meanwhile()

        try:
            producer.begin_transaction()
            if positions:
                offsets = [
                    TopicPartition(self._topic, *item, metadata=metadata)
                    for item in positions.items()
                ]
                call = producer.send_offsets_to_transaction
                self._call(call, offsets, group_metadata, meanwhile=produce_and_work_on)
            # It may have been back before anything was done meanwhile.
            self._deliveries.produce(producer, rest)
            committing = True
            self._call(producer.commit_transaction, meanwhile=meanwhile)
            producer.poll(0)
        except (KafkaException, BufferError) as error:
            # Delivery reports first: they say what the transaction failed of.
            with contextlib.suppress(KafkaException):
                producer.poll(0)
            unknown = committing and not _is_abortable(error)
            failure = self._deliveries.failure(text_of(error), unknown=unknown)
            if failure.refusal is None or unknown or not self._aborted(error):
                # A new producer of the same id fences this one and ends what it left open, sooner
                # than an abort: after messages that timed out, this one's sequence has holes, at
                # which the brokers refuse its next transactions as well.
                self._producer = None
            raise failure from error

    def _on_error(self, error: KafkaError) -> None:
        """Told by librdkafka of broken connections, and of requests that were not answered."""
        self._hear(error.str())

    def _hear(self, text: str) -> None:
        if tells_of_a_broken_connection(text):
            log.info("publishing was disturbed: %s", text)
            self._disturbed = True

    def _call(
        self, function: Callable[..., Any], *args: Any, meanwhile: Callable[[], bool] = nothing
    ) -> None:
        """Calls, and calls again while the outcome is unknown."""
        give_up_at = time.monotonic() + _GIVE_UP_S
        while True:
            self._before_call()
            try:
                bounded_call(
                    function, *args, _CALL_S, within_s=_CALL_S + _GRACE_S, meanwhile=meanwhile
                )
                return
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > give_up_at:
                    raise
                log.warning("%s: again after %s", function.__name__, text_of(error))
                self._disturbed = True
                time.sleep(_PAUSE_S)

    def _aborted(self, error: Exception) -> bool:
        if isinstance(error, KafkaException) and error.args[0].fatal():
            return False
        try:
            self._call(self._producer.abort_transaction)
        except KafkaException as problem:
            log.warning("the transaction can't be aborted: %s", text_of(problem))
            return False
        return True

    def close(self) -> None:
        """Drops the producer; a transaction is never open between calls."""
        self._producer = None


class AtLeastOnceProducer(_OutputProducer):
    """Publishes at least once: messages first, then the positions.

    Args:
        settings: broker.
        commit: commits offsets with metadata.
        batch_bytes: largest batch that the topics take.
        before_call: called before each call that may take long, for the watchdog.
    """

    def __init__(
        self,
        settings: Settings,
        commit: Callable[[Dict[int, int], str], None],
        batch_bytes: int,
        before_call: Callable[[], None],
    ) -> None:
        super().__init__(settings, batch_bytes, before_call)
        self._commit = commit

    def start(self) -> None:
        """Makes the producer."""
        if self._producer is None:
            self._producer = Producer(self._config)

    def commit(
        self,
        messages: Iterable[Outgoing],
        positions: Dict[int, int],
        group_metadata: Any,
        metadata: str = "",
        meanwhile: Callable[[], bool] = nothing,
    ) -> None:
        """Publishes the messages, then commits the positions.

        Raises:
            NotCommitted: some messages may be published, the positions are not committed.
        """
        self.start()
        try:
            self._deliveries.produce(self._producer, messages)
            while self._producer.flush(0) and meanwhile():
                pass
            self._flush()
            if self._deliveries.failed:
                raise self._deliveries.failure("")
            self._before_call()
            self._commit(positions, metadata)
        except NotCommitted:
            self._producer = None
            raise
        except (KafkaException, BufferError) as error:
            # An idempotent producer may be of no more use after an error; a new one is.
            self._producer = None
            raise self._deliveries.failure(text_of(error)) from error

    def _flush(self) -> None:
        give_up_at = time.monotonic() + _GIVE_UP_S
        self._before_call()
        while self._producer.flush(_CALL_S):
            self._before_call()
            if time.monotonic() > give_up_at:
                self._producer.purge()
                self._producer.flush(_CALL_S)
                raise NotCommitted("the brokers did not take the replies in time")

    def close(self) -> None:
        """Drops the producer; nothing is under way between calls."""
        if self._producer is not None:
            self._producer.flush(_CALL_S)
            self._producer = None


def _is_abortable(error: Exception) -> bool:
    """Whether the error says for certain that the transaction was not committed."""
    return isinstance(error, KafkaException) and bool(error.args[0].txn_requires_abort())


def text_of(error: BaseException) -> str:
    """The error in words."""
    if isinstance(error, KafkaException):
        return str(error.args[0].str())
    return str(error)
