"""Queues consumed records, batches them for the user model, and isolates suspected ones."""

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

# Records are queued ahead, so that the user model never waits for the next batch.
_QUEUED_TRANSACTIONS = 2
# As many bytes as the client library fetches ahead.
_QUEUED_BYTES = 32 * 1024 * 1024
# The limit of bytes of messages in one call.
_BATCH_BYTES = 8 * 1024 * 1024
# The longest time that an answered message waits for others to share its transaction.
_COMMIT_INTERVAL_S = 0.2
# A slower batch is followed by a smaller one, so that the worker polls often enough.
_LONG_BATCH_S = 5.0
# The speed of the user model is unknown at first, and the first batch must not take a minute.
_FIRST_BATCH = 8
# The number of batches that are submitted ahead: while predictions are awaited, so that the user
# model never waits; before a commit; and during a commit, when there is time to decode more. The
# last limit is the time to decode and predict them: a commit that fails makes that work useless,
# and replies wait meanwhile.
_AHEAD_WHILE_ANSWERING = 4
_AHEAD_BEFORE_COMMIT = 8
_AHEAD_DURING_COMMIT = 16
_MOST_AHEAD_S = 0.5
# A user model that is called message by message may keep a state, which a repeated call changes
# twice. So fewer batches are submitted ahead.
_AHEAD_SINGLY = 2


class _Decision(NamedTuple):
    """Why a record is rejected without a call of the user model."""

    reason: str
    message: str
    failed: bool


def _source(record: Record) -> Tuple[int, int]:
    return record.partition, record.offset


class Batcher:
    """Queues records, and answers one transaction's worth of them at a time.

    The I/O thread calls it, except for `serve`. Records stay its own until they are answered. A
    batch is given back to the queue when its answers are not wanted.

    Args:
        settings: limits of batches and transactions.
        user_model: the user model.
        in_flight: notes the records of each call, for crash attribution.
        watchdog: guards each call of the user model.
        worker: the worker's name, for metrics.
        stopping: returns whether the worker is to leave.
        keep_signals: called in the main thread before and after calls of the user model, which may
            install signal handlers.
        on_switch: called with the reason when the user model turns out not to be row-wise.
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
        self._most = settings.commit_messages
        # A crash loses answers that are not committed, and a transaction for each single message
        # would take long. So the first single message has a transaction of its own, and the number
        # doubles with each commit: two crashes have a commit between them.
        self._most_single = 1
        self._batch_limit = min(_FIRST_BATCH, settings.batch_messages)
        # A worker that is told to leave finishes its batch within half of the stop timeout.
        self._long_batch_s = min(_LONG_BATCH_S, settings.stop_timeout_s / 2)
        self._keep_signals = keep_signals
        self._decided: Dict[Tuple[int, int], _Decision] = {}
        self._try_single: Set[Tuple[int, int]] = set()
        self._go_on_until = 0.0
        self._failed_messages = 0
        self._pipeline = Pipeline(
            user_model,
            settings.max_message_bytes,
            batching=settings.batching,
            batch_rows=settings.batch_rows,
            before_call=self._call,
            may_go_on=self._may_go_on,
            on_switch=on_switch,
            clock=clock,
        )
        self._prediction_thread = PredictionThread(self._predict, self._idle)
        # Submitted batches. Their records precede those in the queue.
        self._pending: Deque[Batch] = collections.deque()
        self._latest_s = _MOST_AHEAD_S

    def serve(self) -> None:
        """Runs the user model in the calling thread until `close`."""
        try:
            self._prediction_thread.serve()
        finally:
            # The timer would end the process during shutdown.
            self._watchdog.release_model()

    def close(self) -> None:
        """Ends `serve`."""
        self._prediction_thread.close()

    def _idle(self) -> None:
        self._release()
        self._watchdog.release_model()
        self._watchdog.check_io()

    def _call(self, records: Sequence[Record]) -> None:
        """Prepares a call of the user model with these records."""
        self._watchdog.guard_model(self._settings.predict_timeout_s)
        if self._in_flight.hold(records):
            self._keep_signals()

    def _release(self) -> None:
        """Notes that no call of the user model is under way."""
        self._in_flight.hold(())
        self._keep_signals()

    def _may_go_on(self) -> bool:
        """Returns whether there is time for another single call before the commit."""
        return not self._stopping() and self._clock() < self._go_on_until

    def __len__(self) -> int:
        """Returns the number of records that are not answered."""
        return len(self._queue) + sum(len(batch.records) for batch in self._pending)

    @property
    def next_record(self) -> Record:
        """The first record that is not answered."""
        return self._pending[0].records[0] if self._pending else self._queue[0]

    def room(self) -> int:
        """Returns how many further records may be added; 0 also if the queued ones are large."""
        if self._queued_bytes > _QUEUED_BYTES:
            return 0
        return max(0, _QUEUED_TRANSACTIONS * self._settings.commit_messages - len(self))

    def add(self, records: Sequence[Record]) -> None:
        """Adds consumed records to the queue."""
        self._queue.extend(records)
        self._queued_bytes += value_bytes(records)

    def drop(self, partitions: Collection[int]) -> None:
        """Drops the records of revoked partitions; nobody wants predictions under way."""
        self._give_back()
        kept = [record for record in self._queue if record.partition not in partitions]
        self._queue = collections.deque(kept)
        self._queued_bytes = value_bytes(kept)

    def clear(self) -> None:
        """Drops all records; nobody wants predictions under way."""
        self._give_back()
        self._queue.clear()
        self._queued_bytes = 0

    def settle(self) -> None:
        """Drops all records, waits until no call of the user model is under way, and notes that."""
        self.clear()
        self._prediction_thread.settle()
        self._in_flight.hold(())

    def answer(self) -> List[Batch]:
        """Answers one transaction's worth of records, and takes them out of the queue.

        The main thread predicts submitted batches. Meanwhile the calling thread decodes the next
        ones and encodes replies.

        Returns:
            The answered batches, in their order.

        Raises:
            Retriable: the user model met a temporary error at the first batch; no record was taken.
        """
        answered: List[Batch] = []
        messages = single = 0
        deadline = self._clock() + _COMMIT_INTERVAL_S
        while not answered or not (self._clock() >= deadline or self._stopping()):
            if not self._pending and self._queue and self._is_single(self._queue[0]):
                if single >= self._most_single or (answered and not single):
                    break
                single += 1
            try:
                batch = self._next_predicted(self._most - messages)
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
            # The user model works on these during the commit.
            self._submit_ahead(_AHEAD_BEFORE_COMMIT)
        return answered

    def submit_one_more(self) -> bool:
        """Submits one batch more while the brokers are waited for.

        Returns:
            Whether it submitted one.
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
        """Returns the next batch once it is predicted; None if there is no room for it.

        Raises:
            Retriable: the user model met a temporary error.
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
            self._failed_messages = len(batch.records)
            if self._failed_messages > 1:
                # Single calls show which of them meets the error.
                self._try_single.update(map(_source, batch.records))
            raise
        self._pending.popleft()
        self._queued_bytes -= batch.size
        self._latest_s = batch.seconds.get("decode", 0.0) + batch.seconds.get("predict", 0.0)
        if batch.left:
            self._give_back()
            self._queue.extendleft(reversed(batch.left))
            self._queued_bytes += value_bytes(batch.left)
        return batch

    def _submit_ahead(self, most: int) -> None:
        """Submits batches up to this number, if the user model is quick enough."""
        most = min(most, int(_MOST_AHEAD_S / max(self._latest_s, 1e-6)))
        if not self._user_model.stacks:
            most = min(most, _AHEAD_SINGLY)
        size = sum(batch.size for batch in self._pending)
        while len(self._pending) < most and self._queue:
            if self._is_single(self._queue[0]) or self._stopping():
                return
            if size > _BATCH_BYTES:
                return
            size += self._submit(self._most).size

    def _submit(self, room: int) -> Batch:
        """Takes the next batch out of the queue, decodes it, and submits it."""
        records = self._take(min(room, self._batch_limit))
        batch = self._read(records)
        self._pending.append(batch)
        self._prediction_thread.submit(batch)
        return batch

    def _take(self, most: int) -> List[Record]:
        """Takes the records of the next batch out of the queue; a suspected one is single."""
        records = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        if self._any_may_be_single() or value_bytes(records) > _BATCH_BYTES:
            end = self._end_of_batch(records)
            self._queue.extendleft(reversed(records[end:]))
            return records[:end]
        return records

    def _end_of_batch(self, records: List[Record]) -> int:
        """Returns how many of these records may be one batch; at least one."""
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
        """Whether the last batch that met a temporary error was a single message."""
        return self._failed_messages == 1

    def probe(self) -> bool:
        """Calls the user model with another message than the next one, and drops the answer.

        Returns:
            Whether the message was answered.
        """
        self._give_back()
        first = self._queue[0]
        others = [record for record in self._queue if _source(record) != _source(first)]
        elsewhere = [record for record in others if record.partition != first.partition]
        for record in (elsewhere or others)[:1]:
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
        """Rejects this record at its next try: it keeps meeting temporary errors."""
        self._decided[_source(record)] = _Decision("retries_exhausted", why, True)

    def refuse(self, source: Tuple[int, int], why: str) -> None:
        """Rejects this record (partition, offset) at its next try: the broker refuses its reply."""
        self._decided[source] = _Decision("reply_refused", why, False)

    def committed(self, batches: Sequence[Batch], positions: Dict[int, int]) -> None:
        """Marks batches as published, and forgets decisions about records before these offsets.

        Args:
            batches: the batches of the transaction.
            positions: committed offset, by partition.
        """
        for batch in batches:
            batch.state = BatchState.PUBLISHED
        self._most = min(self._settings.commit_messages, self._most * 2)
        self._most_single = min(self._settings.commit_messages, self._most_single * 2)
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
        """Drops all records, and halves the next transaction, after one that was not committed."""
        self.clear()
        self._most = max(1, self._most // 2)

    def _any_may_be_single(self) -> bool:
        return bool(self._decided or self._try_single) or self._in_flight.has_suspects

    def _is_single(self, record: Record) -> bool:
        """Returns whether the record is suspected, or has a decision."""
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
            # Any other exception ends the worker, and is attributed to the records in flight.
            if not self._prediction_thread.has_more:
                # The next call replaces them otherwise.
                self._release()

    def _without_predicting(self, records: List[Record]) -> Optional[Batch]:
        """Returns the rejection of a record that must not be predicted again, as a batch."""
        first = records[0]
        decision = self._decided.get(_source(first))
        if decision is not None:
            return _decided(
                Rejection(first, decision.reason, decision.message, failed=decision.failed)
            )
        deaths = self._in_flight.deaths(first)
        if deaths >= self._settings.crash_attempts:
            text = f"{deaths} workers died while they processed this message"
            return _decided(Rejection(first, "worker_crash", text, failed=True))
        return None

    def _encode(self, batch: Batch) -> None:
        """Encodes the outcomes of a batch, and counts it."""
        self._pipeline.encode(batch)
        if batch.is_decided:
            # The user model did not see it.
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
        """Halves the limit after a slow batch, and doubles it after a full one that was quick."""
        if seconds > self._long_batch_s:
            self._batch_limit = max(1, min(records, self._batch_limit) // 2)
        elif records >= self._batch_limit and seconds < self._long_batch_s / 4:
            self._batch_limit = min(self._settings.batch_messages, self._batch_limit * 2)


def _decided(rejection: Rejection) -> Batch:
    """Returns a batch of one record that is rejected without a call of the user model."""
    batch = Batch([rejection.record])
    batch.outcomes[0] = rejection
    batch.is_decided = True
    return batch
