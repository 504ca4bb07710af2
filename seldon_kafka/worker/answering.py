"""Has the backlog answered, batch by batch, and knows which records must stand alone."""

from __future__ import annotations

import collections
import itertools
import operator
import time
from typing import Callable, Deque, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from seldon_kafka.config.settings import Settings
from seldon_kafka.errors import Retriable
from seldon_kafka.messages import Outcome, Record, Rejection, Reply, value_bytes
from seldon_kafka.pipeline.pipeline import Pipeline, Work
from seldon_kafka.pipeline.user_model import UserModel
from seldon_kafka.worker import metrics
from seldon_kafka.worker.asking import Asked, Asking
from seldon_kafka.worker.in_flight import InFlight
from seldon_kafka.worker.watchdog import Watchdog

# A batch that takes longer is followed by a smaller one, so that the group hears of the worker.
_LONG_BATCH_S = 5.0
# The first batch: of a class whose speed is not known yet, it must not take a minute.
_FIRST_BATCH = 8
# How many batches the class is asked about in advance: while answers are awaited, so that it
# never waits itself; when the brokers are about to be waited for; and once they are, when there is
# time to read more. And how long reading and answering them takes at most: it may be in vain, and
# answers wait meanwhile.
_AHEAD_WHILE_ANSWERING = 4
_AHEAD_BEFORE_PUBLISHING = 8
_AHEAD_WHILE_PUBLISHING = 16
_MOST_AHEAD_S = 0.5
# A class that is called message by message may keep a state, which a call that is done again
# changes twice: less is asked about in advance.
_AHEAD_SINGLY = 2


class _Decision(NamedTuple):
    """Why a record is rejected without a call of the class."""

    reason: str
    message: str
    failed: bool


def _source(record: Record) -> Tuple[int, int]:
    return record.partition, record.offset


class Answering:
    """The part of a worker between consuming and publishing.

    Args:
        settings: limits of batches and transactions.
        user_model: the class that answers.
        in_flight: told what the class looks at.
        watchdog: wound for each call of the class.
        worker: the worker's name, for metrics.
        stopping: whether the worker is to leave as soon as it can.
        keep_signals: called in the main thread before and after calls of the class, which may have
            set handlers of its own.
        on_switch: told why, when the class turns out not to be row-wise.
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
        # A death undoes what is answered and not yet committed; a transaction for each message
        # that stands alone would take long. So the first has one of its own, and then it doubles:
        # there is a commit between two deaths.
        self._most_alone = 1
        self._batch_limit = min(_FIRST_BATCH, settings.batch_messages)
        # Nor may one take longer than a worker that is told to leave has time for.
        self._long_batch_s = min(_LONG_BATCH_S, settings.stop_timeout_s / 2)
        self._keep_signals = keep_signals
        self._decided: Dict[Tuple[int, int], _Decision] = {}
        self._try_alone: Set[Tuple[int, int]] = set()
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
        self._asking = Asking(self._predict, self._idle)
        # What the class has been asked about, from the left of the backlog on.
        self._ahead: Deque[Asked] = collections.deque()
        self._latest_s = _MOST_AHEAD_S

    def serve(self) -> None:
        """Runs the class, in the thread that calls this, until `close`."""
        try:
            self._asking.serve()
        finally:
            # The timer would end the process while it leaves.
            self._watchdog.rest()

    def close(self) -> None:
        """Ends `serve`."""
        self._asking.close()

    def _idle(self) -> None:
        self._let_go()
        self._watchdog.rest()
        self._watchdog.look()

    def _call(self, records: Sequence[Record]) -> None:
        """Prepares a call of the class with these records."""
        self._watchdog.wind(self._settings.predict_timeout_s)
        if self._in_flight.hold(records):
            self._keep_signals()

    def _let_go(self) -> None:
        """Notes that no call of the class is under way."""
        self._in_flight.hold(())
        self._keep_signals()

    def _may_go_on(self) -> bool:
        """Whether there is time for a further single call before answers are published."""
        return not self._stopping() and time.monotonic() < self._go_on_until

    def answer(self, backlog: Deque[Record]) -> List[Outcome]:
        """Answers one transaction's worth of the backlog, taken from its left.

        The class works in the main thread, at batches that were read before; meanwhile the next
        ones are read, and replies are written and published. What it has been asked about stays
        in the backlog until it is answered.

        Raises:
            Retriable: the class met a temporary error at the first batch; nothing was taken.
        """
        outcomes: List[Outcome] = []
        alone = 0
        deadline = time.monotonic() + self._settings.commit_interval_ms / 1000
        self._drop_what_is_stale(backlog)
        while not outcomes or not (time.monotonic() >= deadline or self._stopping()):
            if not self._ahead and backlog and self._stands_alone(backlog[0]):
                if alone >= self._most_alone or (outcomes and not alone):
                    break
                alone += 1
            try:
                asked = self._next_asked(backlog, self._most - len(outcomes))
            except Retriable:
                self.drop_ahead()
                if outcomes:
                    return outcomes
                raise
            if asked is None:
                break
            for _ in asked.work.records:
                backlog.popleft()
            outcomes.extend(self._written(asked))
            if asked.is_cut:
                # What follows was left, and is asked about again.
                self.drop_ahead()
        if outcomes:
            # Something for the class to do while the replies are published.
            self._ask_ahead(backlog, _AHEAD_BEFORE_PUBLISHING)
        return outcomes

    def ask_one_more(self, backlog: Deque[Record]) -> bool:
        """Asks about one batch more, in time that is spent waiting for brokers.

        Returns:
            Whether it did.
        """
        known = len(self._ahead)
        self._ask_ahead(backlog, min(known + 1, _AHEAD_WHILE_PUBLISHING))
        return len(self._ahead) > known

    def drop_ahead(self) -> None:
        """Forgets what the class has been asked about; what it works at is waited for."""
        for asked in self._ahead:
            asked.drop()
        for asked in self._ahead:
            asked.let_end()
        self._ahead.clear()
        self._asking.restart()

    def _drop_what_is_stale(self, backlog: Deque[Record]) -> None:
        """Forgets what the class was asked about if that is no longer what comes next."""
        ahead = [record for asked in self._ahead for record in asked.work.records]
        if len(ahead) > len(backlog) or not all(map(operator.is_, ahead, backlog)):
            self.drop_ahead()

    def _next_asked(self, backlog: Deque[Record], room: int) -> Optional[Asked]:
        """The next batch, once the class has answered it; None if there is no room for it.

        Raises:
            Retriable: the class met a temporary error.
        """
        if room <= 0 or not backlog:
            return None
        if not self._ahead:
            self._ahead.append(self._ask_first(backlog, room))
        elif len(self._ahead[0].work.records) > room:
            return None
        self._ask_ahead(backlog, _AHEAD_WHILE_ANSWERING)
        asked = self._ahead[0]
        try:
            asked.wait()
        except Retriable:
            self._failed_messages = asked.messages
            if asked.messages > 1:
                # By themselves they show which of them meets the error.
                self._try_alone.update(map(_source, asked.work.records))
            raise
        self._ahead.popleft()
        self._latest_s = asked.seconds + asked.work.seconds.get("decode", 0.0)
        return asked

    def _ask_ahead(self, backlog: Deque[Record], most: int) -> None:
        """Asks about further batches: so many in sum, if the class is quick and may go on."""
        most = min(most, int(_MOST_AHEAD_S / max(self._latest_s, 1e-6)))
        if not self._user_model.stacks:
            most = min(most, _AHEAD_SINGLY)
        start = sum(asked.messages for asked in self._ahead)
        size = sum(asked.work.size for asked in self._ahead)
        while len(self._ahead) < most and start < len(backlog):
            if self._stands_alone(backlog[start]) or self._stopping():
                return
            if size > self._settings.batch_bytes:
                return
            asked = self._asking.ask(self._read(self._batch(backlog, start, self._most)))
            self._ahead.append(asked)
            start += asked.messages
            size += asked.work.size

    @property
    def failed_alone(self) -> bool:
        """Whether the last batch that met a temporary error was one message."""
        return self._failed_messages == 1

    def probe(self, backlog: Deque[Record]) -> bool:
        """Runs the class on a message that is not the next one, and publishes nothing of it.

        Returns:
            Whether it was answered.
        """
        self.drop_ahead()
        first = backlog[0]
        others = [record for record in backlog if _source(record) != _source(first)]
        elsewhere = [record for record in others if record.partition != first.partition]
        for record in (elsewhere or others)[:1]:
            asked = self._asking.ask(self._read([record]))
            try:
                asked.wait()
            except Retriable:
                return False
            finally:
                self._asking.restart()
            return isinstance(self._pipeline.encode(asked.work).outcomes[0], Reply)
        return False

    def give_up(self, record: Record, why: str) -> None:
        """Rejects this record when it comes again: it alone keeps meeting temporary errors."""
        self._decided[_source(record)] = _Decision("retries_exhausted", why, True)

    def refuse(self, source: Tuple[int, int], why: str) -> None:
        """Rejects this record (partition, offset) when it comes again: its reply is refused."""
        self._decided[source] = _Decision("reply_refused", why, False)

    def published(self, positions: Dict[int, int]) -> None:
        """Forgets what was noted of records before these positions (partition -> offset)."""
        self._most = min(self._settings.commit_messages, self._most * 2)
        self._most_alone = min(self._settings.commit_messages, self._most_alone * 2)
        for partition, position in positions.items():
            self._in_flight.forget(self._settings.input_topic, partition, position)
        if self._decided:
            self._decided = {
                source: decision
                for source, decision in self._decided.items()
                if source[1] >= positions.get(source[0], 0)
            }
        if self._try_alone:
            self._try_alone = {
                source for source in self._try_alone if source[1] >= positions.get(source[0], 0)
            }

    def not_published(self) -> None:
        """Makes the next transaction smaller: what did not get through in time may so."""
        self.drop_ahead()
        self._most = max(1, self._most // 2)

    def _batch(self, backlog: Deque[Record], start: int, room: int) -> List[Record]:
        """Records from a place on, up to the limits; one that is suspected stands alone."""
        most = min(room, self._batch_limit)
        found = list(itertools.islice(backlog, start, start + most))
        if not self._any_may_stand_alone() and value_bytes(found) <= self._settings.batch_bytes:
            return found
        records: List[Record] = []
        size = 0
        for record in found:
            size += len(record.value or b"")
            stands_alone = self._stands_alone(record)
            if records and (size > self._settings.batch_bytes or stands_alone):
                break
            records.append(record)
            if stands_alone:
                break
        return records

    def _any_may_stand_alone(self) -> bool:
        return bool(self._decided or self._try_alone) or self._in_flight.has_suspects

    def _stands_alone(self, record: Record) -> bool:
        """Whether the record may be what others suffer from, or is decided about."""
        source = _source(record)
        is_known = source in self._decided or source in self._try_alone
        return is_known or bool(self._in_flight.deaths(record))

    def _ask_first(self, backlog: Deque[Record], room: int) -> Asked:
        """Asks about the batch that is the next one, with nothing asked before it."""
        return self._asking.ask(self._read(self._batch(backlog, 0, room)))

    def _read(self, records: List[Record]) -> Work:
        work = self._without_asking(records)
        if work is None:
            # A message may be the death of a parser too.
            with self._in_flight.holding(records):
                work = self._pipeline.decode(records)
        return work

    def _predict(self, work: Work) -> None:
        if "decode" in work.seconds:
            self._go_on_until = time.monotonic() + self._settings.commit_interval_ms / 1000
            try:
                self._pipeline.predict(work)
            except Retriable:
                self._let_go()
                raise
            # Any other exception ends the worker, and is the doing of the records that are held.
            if not self._asking.has_more:
                # Otherwise the next call replaces the records in the file.
                self._let_go()

    def _without_asking(self, records: List[Record]) -> Optional[Work]:
        """A record that the class is not to see again, as a batch that is done."""
        first = records[0]
        work = Work(records)
        decision = self._decided.get(_source(first))
        if decision is not None:
            work.outcomes[0] = Rejection(
                first, decision.reason, decision.message, failed=decision.failed
            )
            return work
        deaths = self._in_flight.deaths(first)
        if deaths >= self._settings.crash_attempts:
            text = f"{deaths} workers died with this message in hand"
            work.outcomes[0] = Rejection(first, "worker_crash", text, failed=True)
            return work
        return None

    def _written(self, asked: Asked) -> List[Outcome]:
        batch = self._pipeline.encode(asked.work)
        if "decode" not in batch.seconds:
            # The class did not see it.
            return batch.outcomes
        if asked.is_cut:
            self._batch_limit = max(1, len(batch.outcomes))
        else:
            self._adapt(len(batch.outcomes), sum(batch.seconds.values()))
        metrics.BATCH_MESSAGES.labels(self._worker).observe(len(batch.outcomes))
        metrics.ROWS.labels(self._worker).inc(batch.rows)
        for stage, seconds in batch.seconds.items():
            metrics.STAGE_SECONDS.labels(self._worker, stage).observe(seconds)
        return batch.outcomes

    def _adapt(self, records: int, seconds: float) -> None:
        """A slow batch is followed by a smaller one, a full one that was quick by a larger one."""
        if seconds > self._long_batch_s:
            self._batch_limit = max(1, min(records, self._batch_limit) // 2)
        elif records >= self._batch_limit and seconds < self._long_batch_s / 4:
            self._batch_limit = min(self._settings.batch_messages, self._batch_limit * 2)
