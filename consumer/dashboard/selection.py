"""Which of the results a page shows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import attrgetter

from consumer.dashboard.results import Result, ResultLog

_NUMBER = attrgetter("number")


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
        total: How many it takes, up to the number that was asked for.
        results: Those in the window, newest first.
        newest: The highest number there is.
        newer: How many it takes beyond the number that was asked for.
    """

    total: int
    results: tuple[Result, ...]
    newest: int
    newer: int


class Selection:
    """What a filter takes of a log; each look goes through nothing but what is new.

    Not to be shared between threads.

    Attributes:
        chosen: The filter.
    """

    def __init__(self, log: ResultLog, chosen: Filter) -> None:
        """Prepare to look.

        Args:
            log: At this one.
            chosen: Through this filter.
        """
        self._log = log
        self.chosen = chosen
        self._taken: list[Result] = []
        self._seen = 0
        self._corrections = log.corrections

    def window(self, first: int, count: int, until: int | None = None) -> Window:
        """A stretch of what the filter takes, newest first.

        Args:
            first: How many of the newest to leave out.
            count: How many to return at most.
            until: Take nothing newer than this number, so that a page can stand still.
        """
        self._look()
        taken = self._taken
        total = len(taken) if until is None else bisect_right(taken, until, key=_NUMBER)
        end = max(0, total - first)
        results = tuple(reversed(taken[max(0, end - count) : end]))
        return Window(total, results, self._seen, len(taken) - total)

    def all(self) -> list[Result]:
        """All that the filter takes, newest first."""
        self._look()
        return self._taken[::-1]

    def _look(self) -> None:
        corrections = self._log.corrections
        if self.chosen.wrong and self._corrections != corrections:
            # What was right may be wrong by now, and the other way round.
            self._taken, self._seen = [], 0
        self._corrections = corrections
        new = self._log.after(self._seen)
        if new:
            self._seen = new[-1].number
            self._taken += self._take(new)
        del self._taken[: bisect_left(self._taken, self._log.oldest, key=_NUMBER)]

    def _take(self, new: list[Result]) -> list[Result]:
        chosen = self.chosen
        if chosen == Filter():
            return new
        if not chosen.wrong:
            return [each for each in new if chosen.takes(each, "")]
        return [each for each in new if chosen.takes(each, self._log.truth(each))]
