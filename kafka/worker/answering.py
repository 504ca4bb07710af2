"""Has the backlog answered, batch by batch, and knows which records must stand alone."""

from __future__ import annotations

import collections
import itertools
import operator
import time
from typing import Callable, Deque, Dict, List, Optional, Tuple

from kafka.messages import Outcome, Record, Rejection, value_bytes
from kafka.pipeline import Pipeline, Work
from kafka.reasons import Retriable
from kafka.served_class import ServedClass
from kafka.settings import Settings
from kafka.worker import metrics
from kafka.worker.asking import Asked, Asking
from kafka.worker.in_hand import InHand
from kafka.worker.watchdog import Watchdog

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


class Answering:
    """The part of a worker between consuming and publishing.

    Args:
        settings: limits of batches and transactions.
        served: the class that answers.
        in_hand: told what the class looks at.
        watchdog: wound for each call of the class.
        worker: the worker's name, for metrics.
        stopping: whether the worker is to leave as soon as it can.
    """

    def __init__(
        self,
        settings: Settings,
        served: ServedClass,
        in_hand: InHand,
        watchdog: Watchdog,
        worker: str,
        stopping: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._in_hand = in_hand
        self._watchdog = watchdog
        self._worker = worker
        self._served = served
        self._stopping = stopping
        self._most = settings.commit_messages
        # A death undoes what is answered and not yet committed; a transaction for each message
        # that stands alone would take long. So the first has one of its own, and then it doubles:
        # there is a commit between two deaths.
        self._most_alone = 1
        self._batch_limit = min(_FIRST_BATCH, settings.batch_messages)
        # Nor may one take longer than a worker that is told to leave has time for.
        self._long_batch_s = min(_LONG_BATCH_S, settings.stop_timeout_s / 2)
        self._refused: Dict[Tuple[int, int], str] = {}
        self._pipeline = Pipeline(
            served,
            settings.max_message_bytes,
            batching=settings.batching,
            before_call=lambda: watchdog.wind(settings.predict_timeout_s),
        )
        self._asking = Asking(self._predict)
        # What the class has been asked about, from the left of the backlog on.
        self._ahead: Deque[Asked] = collections.deque()
        self._latest_s = _MOST_AHEAD_S

    def answer(self, backlog: Deque[Record]) -> List[Outcome]:
        """Answers one transaction's worth of the backlog, taken from its left.

        The class works in a thread of its own, at batches that were read before; meanwhile the
        next ones are read, and replies are written and published. What it has been asked about
        stays in the backlog until it is answered.

        Raises:
            Retriable: the class met passing trouble at the first batch; nothing was taken.
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
        if outcomes:
            # Something for the class to do while the replies are published.
            self._ask_ahead(backlog, _AHEAD_BEFORE_PUBLISHING)
        self._rest()
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
            self._watchdog.wind(self._settings.predict_timeout_s)
            asked.let_end()
        self._ahead.clear()
        self._rest()

    def _rest(self) -> None:
        if not self._ahead:
            self._watchdog.rest()

    def _drop_what_is_stale(self, backlog: Deque[Record]) -> None:
        """Forgets what the class was asked about if that is no longer what comes next."""
        ahead = [record for asked in self._ahead for record in asked.work.records]
        if len(ahead) > len(backlog) or not all(map(operator.is_, ahead, backlog)):
            self.drop_ahead()

    def _next_asked(self, backlog: Deque[Record], room: int) -> Optional[Asked]:
        """The next batch, once the class has answered it; None if there is no room for it.

        Raises:
            Retriable: the class met passing trouble.
        """
        if room <= 0 or not backlog:
            return None
        if not self._ahead:
            self._ahead.append(self._ask_first(backlog, room))
        elif len(self._ahead[0].work.records) > room:
            return None
        self._ask_ahead(backlog, _AHEAD_WHILE_ANSWERING)
        asked = self._ahead[0]
        # Publishing has stopped the watchdog, or set it to a time of its own.
        self._watchdog.wind(self._settings.predict_timeout_s)
        asked.wait()
        self._ahead.popleft()
        self._latest_s = asked.seconds + asked.work.seconds.get("decode", 0.0)
        return asked

    def _ask_ahead(self, backlog: Deque[Record], most: int) -> None:
        """Asks about further batches: so many in sum, if the class is quick and may go on."""
        most = min(most, int(_MOST_AHEAD_S / max(self._latest_s, 1e-6)))
        start = sum(len(asked.work.records) for asked in self._ahead)
        size = sum(asked.work.size for asked in self._ahead)
        while self._served.stacks and len(self._ahead) < most and start < len(backlog):
            if self._stands_alone(backlog[start]) or self._stopping():
                return
            if size > self._settings.batch_bytes:
                return
            try:
                records = self._batch(backlog, start, self._most)
                asked = self._asking.ask(self._read(records), in_thread=True)
            except Retriable:
                # It shows again when it is the next one.
                return
            self._ahead.append(asked)
            start += len(asked.work.records)
            size += asked.work.size

    def refuse(self, source: Tuple[int, int], why: str) -> None:
        """Rejects this record (partition, offset) when it comes again: its reply is refused."""
        self._refused[source] = why

    def published(self, positions: Dict[int, int]) -> None:
        """Forgets what was noted of records before these positions (partition -> offset)."""
        self._most = min(self._settings.commit_messages, self._most * 2)
        self._most_alone = min(self._settings.commit_messages, self._most_alone * 2)
        for partition, position in positions.items():
            self._in_hand.forget(self._settings.input_topic, partition, position)
        if self._refused:
            self._refused = {
                source: why
                for source, why in self._refused.items()
                if source[1] >= positions.get(source[0], 0)
            }

    def not_published(self) -> None:
        """Makes the next transaction smaller: what did not get through in time may so."""
        self.drop_ahead()
        self._most = max(1, self._most // 2)

    def _batch(self, backlog: Deque[Record], start: int, room: int) -> List[Record]:
        """Records from a place on, up to the limits; one that is suspected stands alone."""
        # Called message by message, the class gains nothing from a batch, and leaving, which
        # waits for the end of it, would take longer.
        most = min(room, self._batch_limit) if self._served.stacks else 1
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
        return bool(self._refused) or self._in_hand.has_suspects

    def _stands_alone(self, record: Record) -> bool:
        """Whether workers died with the record in hand, or its reply was refused."""
        refused = self._refused and (record.partition, record.offset) in self._refused
        return bool(refused or self._in_hand.deaths(record))

    def _ask_first(self, backlog: Deque[Record], room: int) -> Asked:
        """Asks about the batch that is the next one, with nothing asked before it."""
        records = self._batch(backlog, 0, room)
        work = self._read(records)
        # Without more to be read meanwhile another thread only costs time; and what stands alone
        # does so in every respect.
        has_more = len(backlog) > len(records) and self._served.stacks
        return self._asking.ask(work, in_thread=has_more and not self._stands_alone(records[0]))

    def _read(self, records: List[Record]) -> Work:
        work = self._without_asking(records)
        if work is None:
            # A class with `to_rows` looks at them already.
            with self._in_hand.holding(records):
                work = self._pipeline.decode(records)
        return work

    def _predict(self, work: Work) -> None:
        with self._in_hand.holding(work.records):
            self._pipeline.predict(work)

    def _without_asking(self, records: List[Record]) -> Optional[Work]:
        """A record that the class is not to see again, as a batch that is done."""
        first = records[0]
        work = Work(records)
        if (first.partition, first.offset) in self._refused:
            why = self._refused[first.partition, first.offset]
            work.outcomes[0] = Rejection(first, "reply_refused", why)
            return work
        deaths = self._in_hand.deaths(first)
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
