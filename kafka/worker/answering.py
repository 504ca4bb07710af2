"""Has the backlog answered, batch by batch, and knows which records must stand alone."""

from __future__ import annotations

import time
from typing import Callable, Deque, Dict, List, Tuple

from kafka.messages import Outcome, Record, Rejection
from kafka.pipeline import Pipeline, Retriable
from kafka.served_class import ServedClass
from kafka.settings import Settings
from kafka.worker import metrics
from kafka.worker.in_hand import InHand
from kafka.worker.watchdog import Watchdog

# A batch that takes longer is followed by a smaller one, so that the group hears of the worker.
_LONG_BATCH_S = 5.0
# The first batch: of a class whose speed is not known yet, it must not take a minute.
_FIRST_BATCH = 8


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

    def answer(self, backlog: Deque[Record]) -> List[Outcome]:
        """Answers one transaction's worth of the backlog, taken from its left.

        Raises:
            Retriable: the class met passing trouble at the first batch; nothing was taken.
        """
        outcomes: List[Outcome] = []
        alone = 0
        deadline = time.monotonic() + self._settings.commit_interval_ms / 1000
        while backlog and len(outcomes) < self._most:
            if self._stands_alone(backlog[0]):
                if alone >= self._most_alone or (outcomes and not alone):
                    break
                alone += 1
            records = self._next_batch(backlog, self._most - len(outcomes))
            try:
                outcomes.extend(self._answer_batch(records))
            except Retriable:
                backlog.extendleft(reversed(records))
                if outcomes:
                    break
                raise
            if time.monotonic() >= deadline or self._stopping():
                break
        return outcomes

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

    def _answer_batch(self, records: List[Record]) -> List[Outcome]:
        first = records[0]
        if (first.partition, first.offset) in self._refused:
            why = self._refused[first.partition, first.offset]
            return [Rejection(first, "reply_refused", why)]
        deaths = self._in_hand.deaths(first)
        if deaths >= self._settings.crash_attempts:
            text = f"{deaths} workers died with this message in hand"
            return [Rejection(first, "worker_crash", text, failed=True)]
        self._in_hand.hold(records)
        started = time.monotonic()
        try:
            batch = self._pipeline.run(records)
        except Retriable:
            self._in_hand.release()
            raise
        finally:
            self._watchdog.rest()
        # Not after any other exception: it ends the worker, and is these records' doing.
        self._in_hand.release()
        self._adapt(len(records), time.monotonic() - started)
        metrics.BATCH_MESSAGES.labels(self._worker).observe(len(records))
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
