"""Producers that commit replies and dead letters together with the consumed offsets."""

from __future__ import annotations

import abc
import contextlib
import logging
import re
import time
from typing import Any, Callable, Iterable, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from seldon_kafka.config.rights import TRANSACTIONAL_ID, RightMissing, worker_rights
from seldon_kafka.config.settings import Settings
from seldon_kafka.transport.client_thread import ClientThread, nothing
from seldon_kafka.transport.deliveries import Deliveries, NotCommitted, output_config
from seldon_kafka.transport.output_messages import OutputMessage

log = logging.getLogger("seldon_kafka.worker")

# The time-out of one attempt at a transactional call. A call that times out is repeated.
_CALL_S = 5.0
# The extra wait for a call that exceeds its own time-out.
_GRACE_S = 1.0
_PAUSE_S = 0.05
# After this time a call is not repeated any more. If its outcome is unknown, a new producer makes
# it certain.
_GIVE_UP_S = 15.0
# librdkafka writes: "… Disconnected (after 1234ms in state UP)".
_CONNECTION_STATE = re.compile(r"in state (\w+)")


class OutputProducer(abc.ABC):
    """A producer that commits messages together with consumed offsets.

    The first `start` or `commit` creates its client, a `confluent_kafka.Producer`.

    Args:
        settings: brokers and time-outs.
        batch_bytes: largest record batch that every topic allows, in bytes.
        before_call: called before each call that may take long, for the watchdog.
    """

    def __init__(
        self, settings: Settings, batch_bytes: int, before_call: Callable[[], None]
    ) -> None:
        self._deliveries = Deliveries()
        self._config = output_config(settings, batch_bytes)
        self._before_call = before_call
        self._producer: Any = None

    @property
    def batch_bytes(self) -> int:
        """Limit of the size of a record batch, in bytes."""
        return int(self._config["batch.size"])

    def send_smaller(self, batch_bytes: int) -> None:
        """Limits the size of record batches, in bytes; the next client has this limit."""
        self._config["batch.size"] = batch_bytes
        self._producer = None

    @abc.abstractmethod
    def start(self) -> None:
        """Creates the client, and ends a transaction that an earlier client left open.

        Raises:
            NotCommitted: the client can't be started, for example if no broker answers; try again.
            RightMissing: the worker has no right to transactions.
        """

    @abc.abstractmethod
    def commit(
        self,
        messages: Iterable[OutputMessage],
        offsets: Sequence[TopicPartition],
        group_metadata: object,
        while_waiting: Callable[[], bool] = nothing,
    ) -> None:
        """Commits messages and offsets.

        Args:
            messages: replies, dead letters and entries of the request log.
            offsets: offsets to commit, with their metadata; may be empty.
            group_metadata: the group metadata under which the records were consumed.
            while_waiting: a step of other work, repeated while the producer waits for the brokers;
                the step returns whether there is more to do.

        Raises:
            NotCommitted: the offsets are not committed; if `unknown` is set in this error, they may
                be.
            RightMissing: the worker has no right to transactions.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Drops the client; no commit may be under way."""


class TransactionalProducer(OutputProducer):
    """Commits messages and offsets in one transaction: exactly once.

    The client is replaced after a disturbed transaction, during which a connection broke or a call
    was repeated. Requests of that transaction may still be under way, and brokers could take such a
    request for a part of the next transaction: librdkafka supports only the first version of the
    transaction protocol, in which all transactions of a producer look alike
    (https://github.com/confluentinc/librdkafka/issues/5423). A new producer has a new epoch, and
    brokers refuse requests of an older epoch.

    Args:
        settings: brokers and time-outs.
        transactional_id: transactional id, which is the same after a restart, so that the next
            process ends an open transaction at once.
        batch_bytes: largest record batch that every topic allows, in bytes.
        before_call: called before each call that may take long, for the watchdog.
        renews: whether a new client replaces one that can't be used any more. If False, `start` and
            `commit` raise `NotCommitted` instead. A new client fences any other producer with the
            id, and the caller must read the records again. A caller that can't read records again
            passes False.
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
        # librdkafka reports a connection that a broker closes in its log, and not as an error.
        self._config["logger"] = _ListeningLogger(self._config["logger"], self._on_client_line)
        self._client_thread = ClientThread()
        self._disturbed = False
        self._rights = [r for r in worker_rights(settings) if r.resource == TRANSACTIONAL_ID]

    def start(self) -> None:
        """Creates the client, and ends an open transaction with the same transactional id.

        A client is kept if its last transaction was not disturbed.

        Raises:
            NotCommitted: the brokers don't answer, and the caller may try again; or a new client is
                needed, and `renews` is False.
            RightMissing: the worker has no right to transactions.
        """
        if self._producer is not None:
            # This call serves the error callbacks since the last transaction.
            self._producer.poll(0)
            if not self._disturbed:
                return
            self._producer = None
            if self._renews:
                log.info("a new producer replaces one whose last transaction was disturbed")
        if self._started and not self._renews:
            raise NotCommitted("the connection to the brokers broke")
        producer = Producer(self._config)
        try:
            self._call(producer.init_transactions)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
                raise RightMissing(self._rights) from error
            raise NotCommitted(
                f"no transaction can be started: {client_error_text(error)}"
            ) from error
        self._producer = producer
        self._started = True
        self._disturbed = False

    def commit(
        self,
        messages: Iterable[OutputMessage],
        offsets: Sequence[TopicPartition],
        group_metadata: object,
        while_waiting: Callable[[], bool] = nothing,
    ) -> None:
        """Commits the messages and the offsets in one transaction; see `OutputProducer.commit`.

        Raises:
            NotCommitted: neither messages nor offsets are committed; if `unknown` is set in this
                error, both may be.
            RightMissing: the worker has no right to transactions.
        """
        # 1. A new producer replaces one whose last transaction was disturbed.
        self.start()
        producer = self._producer
        rest = iter(messages)
        committing = False

        def produce_and_work_on() -> bool:
            self._deliveries.produce(producer, rest)
            return while_waiting()

        try:
            # 2. This makes no request.
            producer.begin_transaction()
            # 3. The offsets are sent first: the group's coordinator adds them while messages are
            #    produced. The coordinator fences a worker whose partitions were revoked.
            if offsets:
                call = producer.send_offsets_to_transaction
                self._call(call, list(offsets), group_metadata, while_waiting=produce_and_work_on)
            # 4. The messages are left if there are no offsets, or if the call returned at once.
            self._deliveries.produce(producer, rest)
            # 5. This call sends the queued messages, waits for every delivery, and commits. From
            #    here on, a transaction may be committed although the call raises an error.
            committing = True
            self._call(producer.commit_transaction, while_waiting=while_waiting)
            producer.poll(0)
        except (KafkaException, BufferError) as error:
            # 6. Delivery reports are served first, because they show why the transaction failed.
            with contextlib.suppress(KafkaException):
                producer.poll(0)
            unknown = committing and not _is_abortable(error)
            failure = self._deliveries.failure(client_error_text(error), unknown=unknown)
            # 7. Only after a refused message does this producer abort and stay in use. In all
            #    other cases a new producer with the same id replaces it, and ends the transaction
            #    sooner than an abort. After messages that timed out, the sequence numbers of this
            #    producer have gaps, and brokers would refuse its next transactions too.
            if failure.refusal is None or unknown or not self._abort(error):
                self._producer = None
            raise failure from error

    def _on_error(self, error: KafkaError) -> None:
        """Notes an error of librdkafka that disturbs the transaction: a broken connection."""
        self._on_client_line(error.str())

    def _on_client_line(self, text: str) -> None:
        if _is_broken_connection(text):
            log.info("the transaction was disturbed: %s", text)
            self._disturbed = True

    def _call(
        self,
        function: Callable[..., object],
        *args: object,
        while_waiting: Callable[[], bool] = nothing,
    ) -> None:
        """Calls a client method, and repeats the call after retriable errors, for 15 s."""
        give_up_at = time.monotonic() + _GIVE_UP_S
        while True:
            self._before_call()
            try:
                self._client_thread.call(
                    function,
                    *args,
                    _CALL_S,
                    within_s=_CALL_S + _GRACE_S,
                    while_waiting=while_waiting,
                )
                return
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > give_up_at:
                    raise
                log.warning("%s: again after %s", function.__name__, client_error_text(error))
                self._disturbed = True
                time.sleep(_PAUSE_S)

    def _abort(self, error: Exception) -> bool:
        """Aborts the transaction; returns False if that fails, or after a fatal error."""
        if isinstance(error, KafkaException) and error.args[0].fatal():
            return False
        try:
            self._call(self._producer.abort_transaction)
        except KafkaException as problem:
            log.warning("the transaction can't be aborted: %s", client_error_text(problem))
            return False
        return True

    def close(self) -> None:
        """Drops the client; no commit may be under way."""
        self._producer = None
        self._client_thread.close()


class AtLeastOnceProducer(OutputProducer):
    """Sends messages first, and commits the offsets after that: at least once.

    Args:
        settings: brokers.
        commit: commits offsets with their metadata.
        batch_bytes: largest record batch that every topic allows, in bytes.
        before_call: called before each call that may take long, for the watchdog.
    """

    def __init__(
        self,
        settings: Settings,
        commit: Callable[[Sequence[TopicPartition]], None],
        batch_bytes: int,
        before_call: Callable[[], None],
    ) -> None:
        super().__init__(settings, batch_bytes, before_call)
        self._commit = commit

    def start(self) -> None:
        """Creates the client, if there is none."""
        if self._producer is None:
            self._producer = Producer(self._config)

    def commit(
        self,
        messages: Iterable[OutputMessage],
        offsets: Sequence[TopicPartition],
        group_metadata: object,
        while_waiting: Callable[[], bool] = nothing,
    ) -> None:
        """Sends the messages, then commits the offsets; see `OutputProducer.commit`.

        This producer ignores `group_metadata`: the consumer commits under its own generation.

        Raises:
            NotCommitted: the offsets are not committed, but messages may be written.
        """
        self.start()
        try:
            self._deliveries.produce(self._producer, messages)
            while self._producer.flush(0) and while_waiting():
                pass
            self._flush()
            if self._deliveries.failed:
                raise self._deliveries.failure("")
            self._before_call()
            self._commit(offsets)
        except NotCommitted:
            self._producer = None
            raise
        except (KafkaException, BufferError) as error:
            # An idempotent producer may be unusable after an error, so a new one replaces it.
            self._producer = None
            raise self._deliveries.failure(client_error_text(error)) from error

    def _flush(self) -> None:
        """Waits for every delivery; raises `NotCommitted` after about 15 s."""
        give_up_at = time.monotonic() + _GIVE_UP_S
        self._before_call()
        while self._producer.flush(_CALL_S):
            self._before_call()
            if time.monotonic() > give_up_at:
                self._producer.purge()
                self._producer.flush(_CALL_S)
                raise self._deliveries.failure("the brokers did not take the replies in time")

    def close(self) -> None:
        """Waits up to 5 s for deliveries, and drops the client."""
        if self._producer is not None:
            self._producer.flush(_CALL_S)
            self._producer = None


def _is_abortable(error: Exception) -> bool:
    """Returns whether the error rules out that the transaction was committed."""
    return isinstance(error, KafkaException) and bool(error.args[0].txn_requires_abort())


def client_error_text(error: BaseException) -> str:
    """Returns the text of an error, of the client library or of Python."""
    if isinstance(error, KafkaException):
        return str(error.args[0].str())
    return str(error)


class _ListeningLogger:
    """A logger for librdkafka that also passes each line to a callback."""

    def __init__(self, logger: logging.Logger, on_line: Callable[[str], None]) -> None:
        self._logger = logger
        self._on_line = on_line

    def log(self, level: int, text: str, *args: Any) -> None:
        """Logs a line."""
        self._on_line(text % args if args else text)
        self._logger.log(level, text, *args)


def _is_broken_connection(text: str) -> bool:
    """Returns whether a log line reports that an established connection broke.

    A broker that can't be reached has no connection, so no request to it is under way, and the
    transaction is not disturbed.
    """
    state = _CONNECTION_STATE.search(text)
    return state is not None and state.group(1) == "UP"
