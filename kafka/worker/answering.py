"""Has the backlog answered, batch by batch, and knows which records must stand alone."""

from __future__ import annotations

import time
from typing import Callable, Deque, Dict, List, Optional, Tuple

from kafka.messages import Outcome, Record, Rejection
from kafka.pipeline import Pipeline, Retriable, Work
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


class _Share:
    """What one transaction has taken of the backlog.

    Attributes:
        deadline: by the monotonic clock, after which it takes no more.
        taken: records.
        alone: of them, those that stood alone.
        has_ended: it takes no more.
        trouble: the passing trouble that the class met.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.taken = 0
        self.alone = 0
        self.has_ended = False
        self.trouble: Optional[Retriable] = None


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
        self._asking = Asking(self._pipeline)

    def answer(self, backlog: Deque[Record]) -> List[Outcome]:
        """Answers one transaction's worth of the backlog, taken from its left.

        While the class works at one batch, in a thread of its own, the next one is read and the
        last one's replies are written.

        Raises:
            Retriable: the class met passing trouble at the first batch; nothing was taken.
        """
        outcomes: List[Outcome] = []
        share = _Share(time.monotonic() + self._settings.commit_interval_ms / 1000)
        asked: Optional[Asked] = None
        while True:
            work = self._take(backlog, share, asked)
            answered = self._finished(backlog, share, asked, work)
            asked = None
            if work is not None and not share.has_ended:
                asked = self._ask(work, backlog)
            if answered is not None:
                outcomes.extend(self._written(answered))
            if asked is None:
                break
        # Not after any other exception: it ends the worker, and is these records' doing.
        self._watchdog.rest()
        self._in_hand.release()
        if share.trouble is not None and not outcomes:
            raise share.trouble
        return outcomes

    def _finished(
        self,
        backlog: Deque[Record],
        share: _Share,
        asked: Optional[Asked],
        following: Optional[Work],
    ) -> Optional[Work]:
        """The batch that was asked about, once it is answered; None if there is none.

        What can't be answered now, or only later, goes back to the backlog, with what follows.
        """
        if asked is None:
            return None
        try:
            asked.wait()
        except Retriable as error:
            share.trouble, share.has_ended = error, True
            _give_back(backlog, asked.work, following)
            return None
        if following is not None and (self._stopping() or asked.seconds > self._long_batch_s / 4):
            # The class takes long: that this worker lives comes first.
            share.has_ended = True
            _give_back(backlog, following)
        return asked.work

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
        self._most = max(1, self._most // 2)

    def _next_batch(self, backlog: Deque[Record], room: int) -> List[Record]:
        """The next records, up to the limits and to `room`; one that is suspected stands alone."""
        records = [backlog.popleft()]
        if self._stands_alone(records[0]):
            return records
        size = len(records[0].value or b"")
        # Called message by message, the class gains nothing from a batch, and leaving, which
        # waits for the end of it, would take longer.
        most = min(room, self._batch_limit) if self._served.stacks else 1
        while backlog and len(records) < most:
            size += len(backlog[0].value or b"")
            if size > self._settings.batch_bytes or self._stands_alone(backlog[0]):
                break
            records.append(backlog.popleft())
        return records

    def _stands_alone(self, record: Record) -> bool:
        """Whether workers died with the record in hand, or its reply was refused."""
        refused = self._refused and (record.partition, record.offset) in self._refused
        return bool(refused or self._in_hand.deaths(record))

    def _take(
        self, backlog: Deque[Record], share: _Share, asked: Optional[Asked]
    ) -> Optional[Work]:
        """The next batch, read; None if this transaction is to take no more."""
        if not backlog or share.taken >= self._most or share.has_ended:
            return None
        if share.taken and (time.monotonic() >= share.deadline or self._stopping()):
            return None
        if self._stands_alone(backlog[0]):
            is_busy = asked is not None and not asked.is_done
            if is_busy or share.alone >= self._most_alone or (share.taken and not share.alone):
                return None
            share.alone += 1
        records = self._next_batch(backlog, self._most - share.taken)
        share.taken += len(records)
        done = self._without_asking(records)
        if done is not None:
            return done
        # A class with `to_rows` looks at these while it works at what it was asked about before.
        busy = [] if asked is None or asked.is_done else list(asked.work.records)
        self._in_hand.hold([*busy, *records])
        try:
            return self._pipeline.decode(records)
        except Retriable as error:
            share.trouble = error
            backlog.extendleft(reversed(records))
            return None

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

    def _ask(self, work: Work, backlog: Deque[Record]) -> Asked:
        # Without more to be read meanwhile another thread only costs time; and what stands alone
        # does so in every respect.
        in_thread = (
            bool(backlog) and self._served.stacks and not self._stands_alone(work.records[0])
        )
        if in_thread:
            self._in_hand.hold(work.records)
        return self._asking.ask(work, in_thread=in_thread)

    def _written(self, work: Work) -> List[Outcome]:
        batch = self._pipeline.encode(work)
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


def _give_back(backlog: Deque[Record], *works: Optional[Work]) -> None:
    """Puts the records of these, in order, back to the left of the backlog."""
    for work in reversed(works):
        if work is not None:
            backlog.extendleft(reversed(work.records))
