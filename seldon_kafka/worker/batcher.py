"""Batches consumed records for the user model, and isolates suspected ones."""

from __future__ import annotations

import collections
import itertools
import operator
import time
from typing import Callable, Deque, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from seldon_kafka.config.settings import Settings
from seldon_kafka.errors import Retriable
from seldon_kafka.messages import Outcome, Record, Rejection, Reply, value_bytes
from seldon_kafka.pipeline.pipeline import Batch, Pipeline
from seldon_kafka.pipeline.user_model import UserModel
from seldon_kafka.worker import metrics
from seldon_kafka.worker.in_flight import InFlight
from seldon_kafka.worker.prediction_thread import PendingBatch, PredictionThread
from seldon_kafka.worker.watchdog import Watchdog

# A slower batch is followed by a smaller one, so that the worker polls often enough.
_LONG_BATCH_S = 5.0
# The speed of the user model is unknown at first, and the first batch must not take a minute.
_FIRST_BATCH = 8
# The number of batches that are submitted ahead: while predictions are awaited, so that the user
# model never waits; before a commit; and during a commit, when there is time to decode more. The
# last limit is the time to decode and predict them: a commit that fails makes that work useless,
# and replies wait meanwhile.
_AHEAD_WHILE_ANSWERING = 4
_AHEAD_BEFORE_PUBLISHING = 8
_AHEAD_WHILE_PUBLISHING = 16
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
    """Turns the backlog into outcomes, one transaction's worth at a time.

    Args:
        settings: limits of batches and transactions.
        user_model: the user model.
        in_flight: notes the records of each call, for crash attribution.
        watchdog: started before each call of the user model.
        worker: the worker's name, for metrics.
        stopping: returns whether the worker is to leave.
        keep_signals: called in the main thread before and after calls of the user model, which may
            install signal handlers.
        on_switch: called with the reason when the user model turns out not to be row-wise.
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
    ) -> None:
        self._settings = settings
        self._in_flight = in_flight
        self._watchdog = watchdog
        self._worker = worker
        self._user_model = user_model
        self._stopping = stopping
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
        )
        self._prediction_thread = PredictionThread(self._predict, self._idle)
        # Submitted batches: the records at the left of the backlog.
        self._pending: Deque[PendingBatch] = collections.deque()
        self._latest_s = _MOST_AHEAD_S

    def serve(self) -> None:
        """Runs the user model in the calling thread until `close`."""
        try:
            self._prediction_thread.serve()
        finally:
            # The timer would end the process during shutdown.
            self._watchdog.rest()

    def close(self) -> None:
        """Ends `serve`."""
        self._prediction_thread.close()

    def _idle(self) -> None:
        self._let_go()
        self._watchdog.rest()
        self._watchdog.look()

    def _call(self, records: Sequence[Record]) -> None:
        """Prepares a call of the user model with these records."""
        self._watchdog.wind(self._settings.predict_timeout_s)
        if self._in_flight.hold(records):
            self._keep_signals()

    def _let_go(self) -> None:
        """Notes that no call of the user model is under way."""
        self._in_flight.hold(())
        self._keep_signals()

    def _may_go_on(self) -> bool:
        """Returns whether there is time for another single call before the commit."""
        return not self._stopping() and time.monotonic() < self._go_on_until

    def answer(self, backlog: Deque[Record]) -> List[Outcome]:
        """Answers one transaction's worth of records from the left of the backlog.

        The main thread predicts submitted batches. Meanwhile the calling thread decodes the next
        ones and encodes replies. Records stay in the backlog until they are answered.

        Raises:
            Retriable: the user model met a temporary error at the first batch; no record was taken.
        """
        outcomes: List[Outcome] = []
        single = 0
        deadline = time.monotonic() + self._settings.commit_interval_ms / 1000
        self._drop_what_is_stale(backlog)
        while not outcomes or not (time.monotonic() >= deadline or self._stopping()):
            if not self._pending and backlog and self._is_single(backlog[0]):
                if single >= self._most_single or (outcomes and not single):
                    break
                single += 1
            try:
                pending = self._next_answered(backlog, self._most - len(outcomes))
            except Retriable:
                self.drop_pending()
                if outcomes:
                    return outcomes
                raise
            if pending is None:
                break
            for _ in pending.batch.records:
                backlog.popleft()
            outcomes.extend(self._written(pending))
            if pending.is_cut:
                # The rest of the batch is submitted again.
                self.drop_pending()
        if outcomes:
            # The user model works on these during the commit.
            self._submit_ahead(backlog, _AHEAD_BEFORE_PUBLISHING)
        return outcomes

    def submit_one_more(self, backlog: Deque[Record]) -> bool:
        """Submits one batch more while the brokers are waited for.

        Returns:
            Whether it submitted one.
        """
        known = len(self._pending)
        self._submit_ahead(backlog, min(known + 1, _AHEAD_WHILE_PUBLISHING))
        return len(self._pending) > known

    def drop_pending(self) -> None:
        """Drops the submitted batches, and waits for the call that is under way."""
        for pending in self._pending:
            pending.drop()
        for pending in self._pending:
            pending.wait_ended()
        if self._pending:
            # A dropped batch is not called, so it does not replace the records of the last call.
            self._in_flight.hold(())
        self._pending.clear()
        self._prediction_thread.restart()

    def _drop_what_is_stale(self, backlog: Deque[Record]) -> None:
        """Drops the submitted batches if the backlog no longer begins with their records."""
        ahead = [record for pending in self._pending for record in pending.batch.records]
        if len(ahead) > len(backlog) or not all(map(operator.is_, ahead, backlog)):
            self.drop_pending()

    def _next_answered(self, backlog: Deque[Record], room: int) -> Optional[PendingBatch]:
        """Returns the next batch once it is predicted; None if there is no room for it.

        Raises:
            Retriable: the user model met a temporary error.
        """
        if room <= 0 or not backlog:
            return None
        if not self._pending:
            self._pending.append(self._submit_first(backlog, room))
        elif len(self._pending[0].batch.records) > room:
            return None
        self._submit_ahead(backlog, _AHEAD_WHILE_ANSWERING)
        pending = self._pending[0]
        try:
            pending.wait()
        except Retriable:
            self._failed_messages = pending.messages
            if pending.messages > 1:
                # Single calls show which of them meets the error.
                self._try_single.update(map(_source, pending.batch.records))
            raise
        self._pending.popleft()
        self._latest_s = pending.seconds + pending.batch.seconds.get("decode", 0.0)
        return pending

    def _submit_ahead(self, backlog: Deque[Record], most: int) -> None:
        """Submits batches up to this number, if the user model is quick enough."""
        most = min(most, int(_MOST_AHEAD_S / max(self._latest_s, 1e-6)))
        if not self._user_model.stacks:
            most = min(most, _AHEAD_SINGLY)
        start = sum(pending.messages for pending in self._pending)
        size = sum(pending.batch.size for pending in self._pending)
        while len(self._pending) < most and start < len(backlog):
            if self._is_single(backlog[start]) or self._stopping():
                return
            if size > self._settings.batch_bytes:
                return
            pending = self._prediction_thread.submit(
                self._read(self._batch(backlog, start, self._most))
            )
            self._pending.append(pending)
            start += pending.messages
            size += pending.batch.size

    @property
    def failed_single(self) -> bool:
        """Whether the last batch that met a temporary error was a single message."""
        return self._failed_messages == 1

    def probe(self, backlog: Deque[Record]) -> bool:
        """Calls the user model with another message than the next one, and drops the answer.

        Returns:
            Whether the message was answered.
        """
        self.drop_pending()
        first = backlog[0]
        others = [record for record in backlog if _source(record) != _source(first)]
        elsewhere = [record for record in others if record.partition != first.partition]
        for record in (elsewhere or others)[:1]:
            pending = self._prediction_thread.submit(self._read([record]))
            try:
                pending.wait()
            except Retriable:
                return False
            finally:
                self._prediction_thread.restart()
            return isinstance(self._pipeline.encode(pending.batch).outcomes[0], Reply)
        return False

    def give_up(self, record: Record, why: str) -> None:
        """Rejects this record at its next try: it keeps meeting temporary errors."""
        self._decided[_source(record)] = _Decision("retries_exhausted", why, True)

    def refuse(self, source: Tuple[int, int], why: str) -> None:
        """Rejects this record (partition, offset) at its next try: the broker refuses its reply."""
        self._decided[source] = _Decision("reply_refused", why, False)

    def committed(self, positions: Dict[int, int]) -> None:
        """Forgets decisions about records before these offsets, by partition."""
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
        """Halves the next transaction after one that was not committed."""
        self.drop_pending()
        self._most = max(1, self._most // 2)

    def _batch(self, backlog: Deque[Record], start: int, room: int) -> List[Record]:
        """Returns the records of the batch that begins at an index; a suspected one is single."""
        most = min(room, self._batch_limit)
        found = list(itertools.islice(backlog, start, start + most))
        if not self._any_may_be_single() and value_bytes(found) <= self._settings.batch_bytes:
            return found
        records: List[Record] = []
        size = 0
        for record in found:
            size += len(record.value or b"")
            is_single = self._is_single(record)
            if records and (size > self._settings.batch_bytes or is_single):
                break
            records.append(record)
            if is_single:
                break
        return records

    def _any_may_be_single(self) -> bool:
        return bool(self._decided or self._try_single) or self._in_flight.has_suspects

    def _is_single(self, record: Record) -> bool:
        """Returns whether the record is suspected, or has a decision."""
        source = _source(record)
        is_known = source in self._decided or source in self._try_single
        return is_known or bool(self._in_flight.deaths(record))

    def _submit_first(self, backlog: Deque[Record], room: int) -> PendingBatch:
        """Submits the next batch when no batch is pending."""
        return self._prediction_thread.submit(self._read(self._batch(backlog, 0, room)))

    def _read(self, records: List[Record]) -> Batch:
        batch = self._without_predicting(records)
        if batch is None:
            # A message can crash a parser too.
            with self._in_flight.holding(records):
                batch = self._pipeline.decode(records)
        return batch

    def _predict(self, batch: Batch) -> None:
        if "decode" in batch.seconds:
            self._go_on_until = time.monotonic() + self._settings.commit_interval_ms / 1000
            try:
                self._pipeline.predict(batch)
            except Retriable:
                self._let_go()
                raise
            # Any other exception ends the worker, and is attributed to the records in flight.
            if not self._prediction_thread.has_more:
                # The next call replaces them otherwise.
                self._let_go()

    def _without_predicting(self, records: List[Record]) -> Optional[Batch]:
        """Returns the rejection of a record that must not be predicted again, as a batch."""
        first = records[0]
        batch = Batch(records)
        decision = self._decided.get(_source(first))
        if decision is not None:
            batch.outcomes[0] = Rejection(
                first, decision.reason, decision.message, failed=decision.failed
            )
            return batch
        deaths = self._in_flight.deaths(first)
        if deaths >= self._settings.crash_attempts:
            text = f"{deaths} workers died with this message in hand"
            batch.outcomes[0] = Rejection(first, "worker_crash", text, failed=True)
            return batch
        return None

    def _written(self, pending: PendingBatch) -> List[Outcome]:
        result = self._pipeline.encode(pending.batch)
        if "decode" not in result.seconds:
            # The user model did not see it.
            return result.outcomes
        if pending.is_cut:
            self._batch_limit = max(1, len(result.outcomes))
        else:
            self._adapt(len(result.outcomes), sum(result.seconds.values()))
        metrics.BATCH_MESSAGES.labels(self._worker).observe(len(result.outcomes))
        metrics.ROWS.labels(self._worker).inc(result.rows)
        for stage, seconds in result.seconds.items():
            metrics.STAGE_SECONDS.labels(self._worker, stage).observe(seconds)
        return result.outcomes

    def _adapt(self, records: int, seconds: float) -> None:
        """Halves the limit after a slow batch, and doubles it after a full one that was quick."""
        if seconds > self._long_batch_s:
            self._batch_limit = max(1, min(records, self._batch_limit) // 2)
        elif records >= self._batch_limit and seconds < self._long_batch_s / 4:
            self._batch_limit = min(self._settings.batch_messages, self._batch_limit * 2)
