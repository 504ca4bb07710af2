"""What has come, newest first: a bounded log that pages look at through filters."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from consumer.answers import Answer, Label, Place

MOST_RESULTS = 20_000
"""Results that are kept; older ones are forgotten."""

ImageOf = tuple[Place, int]
"""An image: the place of its input message, and its row in it."""


@dataclass(frozen=True)
class Result:
    """One image with its answer, or one dead letter, or one file that was never sent.

    Attributes:
        number: Counts up as they come.
        came_s: When, in seconds since 1970.
        answer: The whole message; of a file that was refused, made up by the page.
        at: Topic, partition and offset of the message itself; None of a refused file.
        row: Which of the message's images.
        latency_ms: From the sender's timestamp until it came here, if known.
    """

    number: int
    came_s: float
    answer: Answer
    at: Place | None
    row: int = 0
    latency_ms: float | None = None

    @property
    def label(self) -> Label | None:
        """What the image was taken for; None of what was not answered."""
        return self.answer.labels[self.row] if self.row < len(self.answer.labels) else None

    @property
    def image(self) -> ImageOf | None:
        """Which image it is, if the message says so."""
        return None if self.answer.place is None else (self.answer.place, self.row)

    @property
    def told_truth(self) -> str:
        """What the sender said that it shows, or nothing."""
        truth = self.answer.truth
        return truth[self.row] if len(truth) == max(1, len(self.answer.labels)) else ""


@dataclass(frozen=True)
class Filter:
    """Which results to show: those that meet every condition; one that is not set is met by all.

    Attributes:
        label: Taken for this class.
        worker: Answered by this one.
        abstained: The model would rather not say.
        outlier: Taken for something else.
        below: With a confidence below this, from 0 to 1.
        wrong: Known to be wrong.
        dead: Not answered at all.
    """

    label: str = ""
    worker: str = ""
    abstained: bool = False
    outlier: bool = False
    below: float | None = None
    wrong: bool = False
    dead: bool = False

    def takes(self, result: Result, truth: str) -> bool:
        """Whether a result is to be shown.

        Args:
            result: It.
            truth: What its image is known to show, or nothing.
        """
        if self.worker and result.answer.worker != self.worker:
            return False
        label = result.label
        if label is None:
            return self.dead or self == Filter(worker=self.worker)
        return (
            not self.dead
            and self.label in ("", label.name)
            and (label.abstain or not self.abstained)
            and (label.outlier or not self.outlier)
            and (self.below is None or label.confidence < self.below)
            and (not self.wrong or truth not in ("", label.name))
        )


@dataclass(frozen=True)
class Window:
    """A stretch of the results that a filter takes.

    Attributes:
        total: How many it takes, up to the newest that was asked for.
        results: Those in the window, newest first.
        newest: The highest number there is.
    """

    total: int
    results: tuple[Result, ...]
    newest: int


class ResultLog:
    """The latest results; safe to use from several threads.

    Attributes:
        corrections: How many corrections there were.
    """

    def __init__(self, most: int = MOST_RESULTS) -> None:
        """Start empty.

        Args:
            most: How many are kept.
        """
        self.corrections = 0
        self._most = most
        self._results: list[Result] = []
        self._next = 1
        self._truth: dict[ImageOf, str] = {}
        self._lock = threading.Lock()

    @property
    def newest(self) -> int:
        """The highest number there is; 0 if nothing has come."""
        return self._next - 1

    def add(
        self, answer: Answer, at: Place | None, came_s: float, latency_ms: float | None
    ) -> None:
        """Take a message in: a result for each of its images, or one if it has none."""
        with self._lock:
            for row in range(max(1, len(answer.labels))):
                self._results.append(Result(self._next, came_s, answer, at, row, latency_ms))
                self._next += 1
            # In pieces, since taking from the front moves all others.
            if len(self._results) > self._most + self._most // 8:
                del self._results[: len(self._results) - self._most]

    def correct(self, image: ImageOf, truth: str) -> None:
        """Know from now on what an image shows, whatever its sender said."""
        with self._lock:
            self.corrections += 1
            self._truth[image] = truth
            while len(self._truth) > self._most:
                self._truth.pop(next(iter(self._truth)))

    def truth(self, result: Result) -> str:
        """What a result's image is known to show: by correction, else by its sender."""
        image = result.image
        corrected = self._truth.get(image) if image is not None else None
        return result.told_truth if corrected is None else corrected

    def is_corrected(self, result: Result) -> bool:
        """Whether a person said what it shows."""
        return result.image in self._truth

    def window(self, chosen: Filter, first: int, count: int, until: int | None = None) -> Window:
        """A stretch of what a filter takes, newest first.

        Args:
            chosen: The filter.
            first: How many of the newest to leave out.
            count: How many to return at most.
            until: Take nothing newer than this number, so that a page can stand still.
        """
        with self._lock:
            newest = self._next - 1
            if chosen == Filter() and self._results:
                left_out = 0 if until is None else max(0, newest - until)
                total = max(0, len(self._results) - left_out)
                end = total - min(first, total)
                found = self._results[max(0, end - count) : end]
                return Window(total, tuple(reversed(found)), newest)
            taken = list(self._taken(chosen, newest if until is None else until))
        return Window(len(taken), tuple(taken[first : first + count]), newest)

    def every(self, chosen: Filter) -> list[Result]:
        """All that a filter takes, newest first."""
        with self._lock:
            return list(self._taken(chosen, self._next))

    def find(self, number: int) -> Result | None:
        """The result of this number, if it is still kept."""
        with self._lock:
            if not self._results:
                return None
            place = number - self._results[0].number
            return self._results[place] if 0 <= place < len(self._results) else None

    def _taken(self, chosen: Filter, until: int) -> Iterator[Result]:
        for result in reversed(self._results):
            if result.number <= until and chosen.takes(result, self.truth(result)):
                yield result
