"""Selects the results that a page shows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import attrgetter

from consumer.dashboard.results import Result, ResultLog

_NUMBER = attrgetter("number")


@dataclass(frozen=True)
class Filter:
    """Conditions for results; a result must meet all conditions that are set.

    A result without a label meets only the conditions `worker` and `dead`.

    Attributes:
        label: the label must be this one; empty if not set.
        worker: the answer must come from this worker; empty if not set.
        abstained: whether the model must have abstained.
        outlier: whether the image must be an outlier.
        below: the confidence must be below this, from 0 to 1; None if not set.
        wrong: whether the label must differ from a known true label.
        dead: whether the result must be without a label. The other conditions are then ignored,
            except for `worker`.
    """

    label: str = ""
    worker: str = ""
    abstained: bool = False
    outlier: bool = False
    below: float | None = None
    wrong: bool = False
    dead: bool = False

    def matches(self, result: Result, truth: str) -> bool:
        """Returns whether a result meets all conditions.

        Args:
            result: the result.
            truth: true label of the image; empty if unknown.
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
    """Consecutive results of a selection, as `Selection.window` returns them.

    Attributes:
        total: number of selected results up to the result `until`.
        results: the results in the window, the newest first.
        newest: number of the newest result in the log.
        newer: number of selected results after the result `until`.
    """

    total: int
    results: tuple[Result, ...]
    newest: int
    newer: int


class Selection:
    """The results of a log that meet a filter.

    Each call filters only new results. A filter with `wrong` filters all results again after a
    correction. Only one thread may use a selection.

    Args:
        log: the log of results.
        chosen: the filter.

    Attributes:
        chosen: the filter.
    """

    def __init__(self, log: ResultLog, chosen: Filter) -> None:
        self._log = log
        self.chosen = chosen
        self._selected: list[Result] = []
        self._seen = 0
        self._corrections = log.corrections

    def window(self, first: int, count: int, until: int | None = None) -> Window:
        """Returns consecutive results of the selection, the newest first.

        Args:
            first: how many of the newest results are skipped.
            count: limit of the number of results.
            until: number of the newest result to return; None for no limit. With a limit, results
                that arrive later do not move the list of a page.
        """
        self._update()
        selected = self._selected
        total = len(selected) if until is None else bisect_right(selected, until, key=_NUMBER)
        end = max(0, total - first)
        results = tuple(reversed(selected[max(0, end - count) : end]))
        return Window(total, results, self._seen, len(selected) - total)

    def all(self) -> list[Result]:
        """Returns all results of the selection, the newest first."""
        self._update()
        return self._selected[::-1]

    def _update(self) -> None:
        corrections = self._log.corrections
        if self.chosen.wrong and self._corrections != corrections:
            # A correction can turn a right label into a wrong one, or the reverse.
            self._selected, self._seen = [], 0
        self._corrections = corrections
        new = self._log.after(self._seen)
        if new:
            self._seen = new[-1].number
            self._selected += self._filter(new)
        del self._selected[: bisect_left(self._selected, self._log.oldest, key=_NUMBER)]

    def _filter(self, new: list[Result]) -> list[Result]:
        chosen = self.chosen
        if chosen == Filter():
            return new
        if not chosen.wrong:
            return [each for each in new if chosen.matches(each, "")]
        return [each for each in new if chosen.matches(each, self._log.truth(each))]
