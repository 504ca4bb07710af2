"""Counting answers: how many, how right, how fast, and whether each came once."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from dataclasses import dataclass, field

from consumer.answers import Answer


class OffsetsSeen:
    """Which offsets of one partition have been seen, as ranges: small however many they are."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, offset: int) -> bool:
        """Note an offset; False if it had been seen before."""
        at = bisect.bisect_right(self._starts, offset)
        if at and offset < self._ends[at - 1]:
            return False
        joins_left = at > 0 and self._ends[at - 1] == offset
        joins_right = at < len(self._starts) and self._starts[at] == offset + 1
        if joins_left and joins_right:
            self._ends[at - 1] = self._ends.pop(at)
            self._starts.pop(at)
        elif joins_left:
            self._ends[at - 1] = offset + 1
        elif joins_right:
            self._starts[at] = offset
        else:
            self._starts.insert(at, offset)
            self._ends.insert(at, offset + 1)
        return True

    def missing(self) -> int:
        """How many offsets between the first and the last seen have not been seen."""
        return sum(
            start - end for start, end in zip(self._starts[1:], self._ends[:-1], strict=True)
        )


class Latencies:
    """A histogram of latencies that is right to one part in fifty, in little memory."""

    _STEP = math.log(1.02)

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()

    def add(self, milliseconds: float) -> None:
        """Count one."""
        self._buckets[round(math.log(max(milliseconds, 0.1)) / self._STEP)] += 1

    def percentile(self, percent: float) -> float | None:
        """The latency in ms that so many percent stay within; None if there is none."""
        left = math.ceil(self._buckets.total() * percent / 100)
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return math.exp(bucket * self._STEP)
        return None


@dataclass
class Score:
    """What has come so far.

    Attributes:
        started_ms: Latency counts for inputs sent after this, in ms since 1970:
            of what was sent before we looked, we know only when we read it.
        answered: Replies.
        dead: Dead letters.
        images: Images in the replies.
        unreadable: Replies whose labels cannot be read.
        known: Images of which the sender said what they show.
        right: Those of them that were recognised.
        abstained: Images at which the model would rather not say.
        outliers: Images that the model takes for something else.
        confusion: (truth, label) -> images.
        reasons: Why letters are dead -> how many.
        workers: Who answered -> how many.
        duplicates: Answers and dead letters to an input that had one before.
        disorder: Replies that came after the reply to a later input of their partition.
        unplaced: Messages that do not say which input they answer.
    """

    started_ms: float = 0.0
    answered: int = 0
    dead: int = 0
    images: int = 0
    unreadable: int = 0
    known: int = 0
    right: int = 0
    abstained: int = 0
    outliers: int = 0
    duplicates: int = 0
    disorder: int = 0
    unplaced: int = 0
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    workers: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)
    _seen: dict[tuple[str, int], OffsetsSeen] = field(default_factory=dict)
    _last: dict[tuple[str, int], int] = field(default_factory=dict)
    _first_ms: float | None = None
    _last_ms: float = 0.0

    def add(self, answer: Answer, received_ms: float) -> float | None:
        """Count an answer.

        Args:
            answer: What came.
            received_ms: When, in ms since 1970.

        Returns:
            Its latency in ms, if it is known.
        """
        if self._first_ms is None:
            self._first_ms = received_ms
        self._last_ms = received_ms
        self._count_place(answer)
        self.workers[answer.worker] += 1
        if answer.reason is not None:
            self.dead += 1
            self.reasons[answer.reason] += 1
            return None
        self.answered += 1
        self.images += len(answer.labels)
        self.unreadable += not answer.labels
        self._count_labels(answer)
        if answer.timestamp_ms is None or answer.timestamp_ms < self.started_ms:
            return None
        latency = max(0.0, received_ms - answer.timestamp_ms)
        self.latencies.add(latency)
        return latency

    @property
    def total(self) -> int:
        """Replies and dead letters."""
        return self.answered + self.dead

    @property
    def gaps(self) -> int:
        """Inputs without an answer, between others of their partition that have one."""
        return sum(seen.missing() for seen in self._seen.values())

    @property
    def accuracy(self) -> float | None:
        """The share that was recognised, where truth is known."""
        return self.right / self.known if self.known else None

    @property
    def rate(self) -> float | None:
        """Messages a second, from the first to the last; None for fewer than two."""
        if self._first_ms is None or self._last_ms <= self._first_ms:
            return None
        return 1000 * self.total / (self._last_ms - self._first_ms)

    def _count_place(self, answer: Answer) -> None:
        if answer.place is None:
            self.unplaced += 1
            return
        topic, partition, offset = answer.place
        seen = self._seen.setdefault((topic, partition), OffsetsSeen())
        if not seen.add(offset):
            self.duplicates += 1
        elif not answer.dead:
            if offset < self._last.get((topic, partition), -1):
                self.disorder += 1
            self._last[topic, partition] = offset

    def _count_labels(self, answer: Answer) -> None:
        self.abstained += sum(label.abstain for label in answer.labels)
        self.outliers += sum(label.outlier for label in answer.labels)
        if len(answer.truth) != len(answer.labels):
            return
        for truth, label in zip(answer.truth, answer.labels, strict=True):
            self.known += 1
            self.right += truth == label.name
            self.confusion[truth, label.name] += 1
