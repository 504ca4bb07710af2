"""Counts answers, and computes accuracy, latency, duplicates and gaps."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from dataclasses import dataclass, field

from consumer.answers import Answer


class OffsetsSeen:
    """The offsets of one partition that were seen. They are kept as ranges to save memory."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, offset: int) -> bool:
        """Adds an offset; returns whether it is new."""
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
        """Returns the number of unseen offsets between the lowest and the highest seen offset."""
        return sum(
            start - end for start, end in zip(self._starts[1:], self._ends[:-1], strict=True)
        )


class Latencies:
    """A histogram of latencies, from which percentiles are computed with an error of up to 2 %."""

    _STEP = math.log(1.02)

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()

    def add(self, milliseconds: float) -> None:
        """Counts one latency; a latency below 0.1 ms counts as 0.1 ms."""
        self._buckets[round(math.log(max(milliseconds, 0.1)) / self._STEP)] += 1

    def percentile(self, percent: float) -> float | None:
        """Returns a percentile of the latencies, in ms; None if there are no latencies."""
        left = math.ceil(self._buckets.total() * percent / 100)
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return math.exp(bucket * self._STEP)
        return None


@dataclass
class Score:
    """Counts of the answers that were read so far.

    Attributes:
        started_ms: time at which reading started, in ms since 1970. A reply to an input that was
            sent earlier has no latency, because the reply may have waited for the reader.
        answered: number of replies.
        dead: number of dead letters.
        images: number of images in the replies.
        unreadable: number of replies whose labels cannot be read.
        known: number of images whose true label the sender named.
        right: number of images whose label is the true label.
        abstained: number of images for which the model abstained.
        outliers: number of images that show none of the model's classes.
        duplicates: number of answers to inputs that already had an answer.
        out_of_order: number of replies that were read after the reply to a later input of the same
            partition.
        without_position: number of answers without the position of their input.
        confusion: number of images, by true label and label.
        reasons: number of dead letters, by reason.
        workers: number of answers, by worker.
        latencies: latencies of the replies.
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
    out_of_order: int = 0
    without_position: int = 0
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    workers: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)
    _seen: dict[tuple[str, int], OffsetsSeen] = field(default_factory=dict)
    _last: dict[tuple[str, int], int] = field(default_factory=dict)
    _first_ms: float | None = None
    _last_ms: float = 0.0

    def add(self, answer: Answer, received_ms: float) -> float | None:
        """Counts an answer.

        Args:
            answer: the answer.
            received_ms: time at which the answer was read, in ms since 1970.

        Returns:
            The latency of a reply, in ms. None for a dead letter, for an input without timestamp,
            and for an input that was sent before `started_ms`.
        """
        if self._first_ms is None:
            self._first_ms = received_ms
        self._last_ms = received_ms
        self._count_position(answer)
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
        """Number of replies and dead letters."""
        return self.answered + self.dead

    @property
    def gaps(self) -> int:
        """Number of offsets without an answer between answered inputs of the same partition."""
        return sum(seen.missing() for seen in self._seen.values())

    @property
    def accuracy(self) -> float | None:
        """Share of right labels among images with a true label; None without such images."""
        return self.right / self.known if self.known else None

    @property
    def rate(self) -> float | None:
        """Answers per second, from the first to the last; None until two have different times."""
        if self._first_ms is None or self._last_ms <= self._first_ms:
            return None
        return 1000 * self.total / (self._last_ms - self._first_ms)

    def _count_position(self, answer: Answer) -> None:
        if answer.input_position is None:
            self.without_position += 1
            return
        topic, partition, offset = answer.input_position
        seen = self._seen.setdefault((topic, partition), OffsetsSeen())
        if not seen.add(offset):
            self.duplicates += 1
        elif not answer.dead:
            if offset < self._last.get((topic, partition), -1):
                self.out_of_order += 1
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
