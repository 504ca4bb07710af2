"""Queues consumed records, batches them for the user model, and isolates suspected records."""

from __future__ import annotations

import collections
import time
from typing import (
    Callable,
    Collection,
    Deque,
    Dict,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from seldon_kafka.config.settings import Settings
from seldon_kafka.errors import Retriable
from seldon_kafka.messages import Record, Rejection, Reply, value_bytes
from seldon_kafka.pipeline.batch import Batch, BatchState
from seldon_kafka.pipeline.pipeline import Pipeline
from seldon_kafka.pipeline.user_model import UserModel
from seldon_kafka.worker import metrics
from seldon_kafka.worker.in_flight import InFlight
from seldon_kafka.worker.prediction_thread import PredictionThread
from seldon_kafka.worker.watchdog import Watchdog

# The limit of queued and submitted records, in transactions of `KAFKA_COMMIT_MESSAGES` records. The
# records of the next transaction are queued ahead, so that the user model need not wait for a poll.
_QUEUED_TRANSACTIONS = 2
# While the values of queued and submitted records are larger than this, no record is added. The
# unit is bytes; `queued.max.messages.kbytes` of the consumer has the same size.
_QUEUED_BYTES = 32 * 1024 * 1024
# The limit of the values in one batch, in bytes; a batch of one record may be larger. While all
# pending batches together are larger than this, no further batch is submitted ahead.
_BATCH_BYTES = 8 * 1024 * 1024
# After this time, no further batch joins a transaction, and a batch that is predicted message by
# message is cut.
_COMMIT_INTERVAL_S = 0.2
# After a batch that takes longer, batches become smaller, so that the worker polls often enough.
_LONG_BATCH_S = 5.0
# The limit of records in the first batch. The speed of the user model is not known yet, and a
# larger batch could take minutes.
_FIRST_BATCH = 8
# The limits of the number of pending batches, which are submitted and not yet answered. While the
# I/O thread awaits a prediction, further batches are pending, so that the user model never waits
# for one. During a commit the I/O thread has time to decode more batches.
_AHEAD_WHILE_ANSWERING = 4
_AHEAD_BEFORE_COMMIT = 8
_AHEAD_DURING_COMMIT = 16
# The limit of the time to decode and predict all pending batches, in seconds, at the speed of the
# latest batch. A commit that fails makes this work useless, and delays replies by this time.
_MOST_AHEAD_S = 0.5
# The limit of the number of pending batches while the user model is called message by message. Such
# a user model may keep state, which changes twice when a dropped batch is predicted again.
_AHEAD_SINGLY = 2


class _Decision(NamedTuple):
    """A rejection without a further call of the user model; fields as in `Rejection`."""

    reason: str
    message: str
    failed: bool


def _source(record: Record) -> Tuple[int, int]:
    return record.partition, record.offset


class Batcher:
    """Queues records, and answers the records of one transaction at a time.

    The I/O thread calls every public method but `serve`. The batcher keeps records until they are
    answered. If a submitted batch is dropped, its records return to the queue.

    Args:
        settings: limits of batches and transactions.
        user_model: the user model.
        in_flight: stores the records of each call, for crash attribution.
        watchdog: guards each call of the user model.
        worker: the worker's name, for metrics.
        stopping: returns whether the worker was asked to stop.
        keep_signals: installs the worker's signal handlers again; called in the main thread before
            and after calls of the user model, which may install handlers of its own.
        on_switch: called with the reason when a user model that declares itself row-wise turns out
            not to be row-wise.
        clock: returns the seconds of a monotonic clock.
    """

    def __init__(
        self,
        settings: Settings,
        user_model: UserModel,
        in_flight: InFlight,
        watchdog: Watchdog,
        worker: str,
        stopping: Callable[[], bool],
        *,
        keep_signals: Callable[[], None] = lambda: None,
        on_switch: Callable[[str], None] = lambda why: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._in_flight = in_flight
        self._watchdog = watchdog
        self._worker = worker
        self._user_model = user_model
        self._stopping = stopping
        self._clock = clock
        self._queue: Deque[Record] = collections.deque()
        self._queued_bytes = 0
        self._message_limit = settings.commit_messages
        # The limit, in a transaction, of records that need a batch of their own (`_is_single`). A
        # crash loses answers that are not committed. The limit is 1 at first, so that a record that
        # crashes the worker costs no other answer. One transaction for each such record would take
        # long, so the limit doubles with each commit.
        self._single_limit = 1
        self._batch_limit = min(_FIRST_BATCH, settings.batch_messages)
        # A batch should take half of the stop timeout at most, so that a worker that is asked to
        # stop can finish its batch.
        self._long_batch_s = min(_LONG_BATCH_S, settings.stop_timeout_s / 2)
        self._keep_signals = keep_signals
        self._decided: Dict[Tuple[int, int], _Decision] = {}
        self._try_single: Set[Tuple[int, int]] = set()
        self._go_on_until = 0.0
        self._size_of_failed_batch = 0
        self._pipeline = Pipeline(
            user_model,
            settings.max_message_bytes,
            batching=settings.batching,
            batch_rows=settings.batch_rows,
            before_call=self._before_call,
            may_go_on=self._may_go_on,
            on_switch=on_switch,
            clock=clock,
        )
        self._prediction_thread = PredictionThread(self._predict, self._idle)
        # Submitted batches that are not answered yet. Their records precede those in the queue.
        self._pending: Deque[Batch] = collections.deque()
        self._latest_batch_s = _MOST_AHEAD_S

    def serve(self) -> None:
        """Runs the user model in the calling thread until `close`."""
        try:
            self._prediction_thread.serve()
        finally:
            # The watchdog's timer would end the process if the shutdown takes long.
            self._watchdog.release_model()

    def close(self) -> None:
        """Ends `serve`."""
        self._prediction_thread.close()

    def _idle(self) -> None:
        self._release()
        self._watchdog.release_model()
        self._watchdog.check_io()

    def _before_call(self, records: Sequence[Record]) -> None:
        """Sets the deadline of a call of the user model, and notes its records as in flight."""
        self._watchdog.guard_model(self._settings.predict_timeout_s)
        if self._in_flight.hold(records):
            self._keep_signals()

    def _release(self) -> None:
        """Notes that no call is under way, and installs the worker's signal handlers again."""
        self._in_flight.hold(())
        self._keep_signals()

    def _may_go_on(self) -> bool:
        """Returns whether the user model may be called with another message of the batch.

        Used for a batch that is predicted message by message. Returns False 0.2 s after the batch
        began, and when the worker was asked to stop.
        """
        return not self._stopping() and self._clock() < self._go_on_until

    def __len__(self) -> int:
        """Returns the number of queued and submitted records, none of which is answered yet."""
        return len(self._queue) + sum(len(batch.records) for batch in self._pending)

    @property
    def next_record(self) -> Record:
        """The first record that is not answered; there must be one."""
        return self._pending[0].records[0] if self._pending else self._queue[0]

    def room(self) -> int:
        """Returns how many records may be added.

        Returns 0 while the queued and submitted records exceed their limit of number or of bytes.
        """
        if self._queued_bytes > _QUEUED_BYTES:
            return 0
        return max(0, _QUEUED_TRANSACTIONS * self._settings.commit_messages - len(self))

    def add(self, records: Sequence[Record]) -> None:
        """Adds consumed records to the queue."""
        self._queue.extend(records)
        self._queued_bytes += value_bytes(records)

    def drop(self, partitions: Collection[int]) -> None:
        """Drops the records of revoked partitions, and all predictions of submitted batches."""
        self._give_back()
        kept = [record for record in self._queue if record.partition not in partitions]
        self._queue = collections.deque(kept)
        self._queued_bytes = value_bytes(kept)

    def clear(self) -> None:
        """Drops all records, and all predictions of submitted batches."""
        self._give_back()
        self._queue.clear()
        self._queued_bytes = 0

    def settle(self) -> None:
        """Drops all records, waits until no call is under way, and notes that none is."""
        self.clear()
        self._prediction_thread.settle()
        self._in_flight.hold(())

    def answer(self) -> List[Batch]:
        """Answers the records of one transaction, and takes them out of the queue.

        The main thread predicts submitted batches. Meanwhile the calling thread decodes the next
        batches and encodes replies.

        Returns:
            The answered batches, in the order of their records; empty if no record is queued.

        Raises:
            Retriable: the user model raised a temporary error at the first batch; all records stay
                in the queue. After a temporary error at a later batch, the batches before it are
                returned.
        """
        answered: List[Batch] = []
        messages = single = 0
        deadline = self._clock() + _COMMIT_INTERVAL_S
        while not answered or not (self._clock() >= deadline or self._stopping()):
            if not self._pending and self._queue and self._is_single(self._queue[0]):
                if single >= self._single_limit or (answered and not single):
                    break
                single += 1
            try:
                batch = self._next_predicted(self._message_limit - messages)
            except Retriable:
                self._give_back()
                if answered:
                    return answered
                raise
            if batch is None:
                break
            self._encode(batch)
            answered.append(batch)
            messages += len(batch.outcomes)
        if answered:
            # Further batches, which the user model predicts during the commit.
            self._submit_ahead(_AHEAD_BEFORE_COMMIT)
        return answered

    def submit_one_more(self) -> bool:
        """Submits one more batch while the worker waits for the brokers.

        Returns:
            Whether a batch was submitted.
        """
        known = len(self._pending)
        self._submit_ahead(min(known + 1, _AHEAD_DURING_COMMIT))
        return len(self._pending) > known

    def _give_back(self) -> None:
        """Puts the records of submitted batches back into the queue."""
        self._prediction_thread.drop()
        for batch in reversed(self._pending):
            self._queue.extendleft(reversed(batch.records))
        self._pending.clear()

    def _next_predicted(self, room: int) -> Optional[Batch]:
        """Returns the next batch once it is predicted; None if none is left, or none fits the room.

        Args:
            room: number of messages that the transaction can still take.

        Raises:
            Retriable: the user model raised a temporary error.
        """
        if room <= 0:
            return None
        if not self._pending:
            if not self._queue:
                return None
            self._submit(room)
        elif len(self._pending[0].records) > room:
            return None
        self._submit_ahead(_AHEAD_WHILE_ANSWERING)
        batch = self._pending[0]
        try:
            batch.wait()
        except Retriable:
            self._size_of_failed_batch = len(batch.records)
            if self._size_of_failed_batch > 1:
                # Calls with one message each show which message causes the error.
                self._try_single.update(map(_source, batch.records))
            raise
        self._pending.popleft()
        self._queued_bytes -= batch.size
        self._latest_batch_s = batch.seconds.get("decode", 0.0) + batch.seconds.get("predict", 0.0)
        if batch.left:
            self._give_back()
            self._queue.extendleft(reversed(batch.left))
            self._queued_bytes += value_bytes(batch.left)
        return batch

    def _submit_ahead(self, limit: int) -> None:
        """Submits batches until `limit` are pending, or fewer.

        Fewer are submitted if the user model is slow or called message by message, if the pending
        batches are larger than 8 MiB, if the next record needs a batch of its own, or if the worker
        was asked to stop.
        """
        limit = min(limit, int(_MOST_AHEAD_S / max(self._latest_batch_s, 1e-6)))
        if not self._user_model.stacks:
            limit = min(limit, _AHEAD_SINGLY)
        size = sum(batch.size for batch in self._pending)
        while len(self._pending) < limit and self._queue:
            if self._is_single(self._queue[0]) or self._stopping():
                return
            if size > _BATCH_BYTES:
                return
            size += self._submit(self._message_limit).size

    def _submit(self, room: int) -> Batch:
        """Takes the next batch out of the queue, decodes it, and submits it."""
        records = self._take(min(room, self._batch_limit))
        batch = self._read(records)
        self._pending.append(batch)
        self._prediction_thread.submit(batch)
        return batch

    def _take(self, limit: int) -> List[Record]:
        """Takes the records of the next batch out of the queue: at most `limit`."""
        records = [self._queue.popleft() for _ in range(min(limit, len(self._queue)))]
        if self._any_may_be_single() or value_bytes(records) > _BATCH_BYTES:
            end = self._end_of_batch(records)
            self._queue.extendleft(reversed(records[end:]))
            return records[:end]
        return records

    def _end_of_batch(self, records: List[Record]) -> int:
        """Returns how many of these records form the next batch; at least one."""
        size = 0
        for index, record in enumerate(records):
            size += len(record.value or b"")
            is_single = self._is_single(record)
            if index and (size > _BATCH_BYTES or is_single):
                return index
            if is_single:
                return 1
        return len(records)

    @property
    def failed_single(self) -> bool:
        """Whether the last batch that failed with a temporary error was a single message."""
        return self._size_of_failed_batch == 1

    def probe(self) -> bool:
        """Calls the user model with a queued message other than the first, and drops the answer.

        A message of another partition than that of the first message is preferred.

        Returns:
            Whether the called message got a reply; False if no other message is queued.
        """
        self._give_back()
        first = self._queue[0]
        others = [record for record in self._queue if _source(record) != _source(first)]
        other_partitions = [record for record in others if record.partition != first.partition]
        for record in (other_partitions or others)[:1]:
            batch = self._read([record])
            self._prediction_thread.submit(batch)
            try:
                batch.wait()
            except Retriable:
                return False
            finally:
                self._prediction_thread.drop()
            self._pipeline.encode(batch)
            return isinstance(batch.outcomes[0], Reply)
        return False

    def give_up(self, record: Record, why: str) -> None:
        """Rejects this record at its next try, because it keeps failing with temporary errors."""
        self._decided[_source(record)] = _Decision("retries_exhausted", why, True)

    def refuse(self, source: Tuple[int, int], why: str) -> None:
        """Rejects this record at its next try, because the broker refuses its reply.

        Args:
            source: partition and offset of the record.
            why: the broker's error.
        """
        self._decided[source] = _Decision("reply_refused", why, False)

    def committed(self, batches: Sequence[Batch], positions: Dict[int, int]) -> None:
        """Marks batches as published, and forgets suspects and decisions about committed records.

        The limits of records in the next transaction are doubled, up to `KAFKA_COMMIT_MESSAGES`.

        Args:
            batches: the batches of the transaction.
            positions: committed offset, by partition.
        """
        for batch in batches:
            batch.state = BatchState.PUBLISHED
        self._message_limit = min(self._settings.commit_messages, self._message_limit * 2)
        self._single_limit = min(self._settings.commit_messages, self._single_limit * 2)
        for partition, position in positions.items():
            self._in_flight.forget(self._settings.input_topic, partition, position)
        if self._decided:
            self._decided = {
                source: decision
                for source, decision in self._decided.items()
                if source[1] >= positions.get(source[0], 0)
            }
        if self._try_single:
            self._try_single = {
                source for source in self._try_single if source[1] >= positions.get(source[0], 0)
            }

    def not_committed(self) -> None:
        """Drops all records after a failed commit, and halves the limit of the next transaction."""
        self.clear()
        self._message_limit = max(1, self._message_limit // 2)

    def _any_may_be_single(self) -> bool:
        return bool(self._decided or self._try_single) or self._in_flight.has_suspects

    def _is_single(self, record: Record) -> bool:
        """Returns whether the record needs a batch of its own.

        The record needs one if its rejection is decided, if it was in a batch that failed with a
        temporary error, or if a worker died while the record was in flight.
        """
        source = _source(record)
        is_known = source in self._decided or source in self._try_single
        return is_known or bool(self._in_flight.deaths(record))

    def _read(self, records: List[Record]) -> Batch:
        batch = self._without_predicting(records)
        if batch is None:
            # A message can crash a parser too.
            with self._in_flight.holding(records):
                batch = self._pipeline.decode(records)
        return batch

    def _predict(self, batch: Batch) -> None:
        if not batch.is_decided:
            self._go_on_until = self._clock() + _COMMIT_INTERVAL_S
            try:
                self._pipeline.predict(batch)
            except Retriable:
                self._release()
                raise
            # After any other exception the worker ends, and its records stay in flight, so that the
            # next process suspects them.
            # If another batch waits, its call replaces the records in flight.
            if not self._prediction_thread.has_more:
                self._release()

    def _without_predicting(self, records: List[Record]) -> Optional[Batch]:
        """Returns a batch that rejects the only record; None if the records are to be predicted.

        The record is rejected if that was decided, or after `KAFKA_CRASH_ATTEMPTS` deaths.
        """
        first = records[0]
        decision = self._decided.get(_source(first))
        if decision is not None:
            return _rejected_batch(
                Rejection(first, decision.reason, decision.message, failed=decision.failed)
            )
        deaths = self._in_flight.deaths(first)
        if deaths >= self._settings.crash_attempts:
            text = f"{deaths} workers died while they processed this message"
            return _rejected_batch(Rejection(first, "worker_crash", text, failed=True))
        return None

    def _encode(self, batch: Batch) -> None:
        """Encodes the replies of a batch, adapts the batch limit, and updates the metrics."""
        self._pipeline.encode(batch)
        if batch.is_decided:
            # The user model was not called for this batch.
            return
        messages = len(batch.outcomes)
        if batch.left:
            self._batch_limit = max(1, messages)
        else:
            self._adapt(messages, sum(batch.seconds.values()))
        metrics.BATCH_MESSAGES.labels(self._worker).observe(messages)
        metrics.ROWS.labels(self._worker).inc(batch.rows)
        for stage, seconds in batch.seconds.items():
            metrics.STAGE_SECONDS.labels(self._worker, stage).observe(seconds)

    def _adapt(self, records: int, seconds: float) -> None:
        """Adapts the batch limit to the time that a batch took.

        The limit is halved after a batch that took longer than `_long_batch_s`. It is doubled after
        a full batch that took less than a quarter of this time.
        """
        if seconds > self._long_batch_s:
            self._batch_limit = max(1, min(records, self._batch_limit) // 2)
        elif records >= self._batch_limit and seconds < self._long_batch_s / 4:
            self._batch_limit = min(self._settings.batch_messages, self._batch_limit * 2)


def _rejected_batch(rejection: Rejection) -> Batch:
    """Returns a batch of one record that is rejected without a call of the user model."""
    batch = Batch([rejection.record])
    batch.outcomes[0] = rejection
    batch.is_decided = True
    return batch
