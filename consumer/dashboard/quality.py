"""Computes the accuracy of the kept results, and the drift of the labels."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from consumer.dashboard.results import ResultLog

_WINDOW = 200
_POINTS = 300
_RECENT = 500


@dataclass(frozen=True)
class Quality:
    """The accuracy of the kept results, and the shares of the labels.

    Attributes:
        known: number of images with a known true label.
        right: number of images whose label is the true label.
        corrected: number of images whose true label comes from a correction.
        running: points of a chart: the number of images with a known true label so far, and the
            accuracy of the latest 200 of them in percent.
        confusion: number of images, by true label and label.
        before: share of each label among all but the latest 500 images, from 0 to 1.
        recent: share of each label among the latest 500 images, from 0 to 1.
    """

    known: int
    right: int
    corrected: int
    running: list[tuple[int, float]]
    confusion: Counter[tuple[str, str]]
    before: dict[str, float]
    recent: dict[str, float]


def quality_of(log: ResultLog) -> Quality:
    """Returns the accuracy of all results in a log."""
    latest: deque[bool] = deque(maxlen=_WINDOW)
    running: list[tuple[int, float]] = []
    confusion: Counter[tuple[str, str]] = Counter()
    answers: list[str] = []
    known = right = corrected = hits = 0
    for result in log.after(0):
        if result.label is None:
            continue
        name, truth = result.label.name, log.truth(result)
        answers.append(name)
        if not truth:
            continue
        known += 1
        right += truth == name
        corrected += log.is_corrected(result)
        confusion[truth, name] += 1
        hits += (truth == name) - (latest[0] if len(latest) == _WINDOW else 0)
        latest.append(truth == name)
        running.append((known, round(100 * hits / len(latest), 2)))
    step = max(1, len(running) // _POINTS)
    split = max(0, len(answers) - _RECENT)
    return Quality(
        known,
        right,
        corrected,
        running[::-step][::-1],
        confusion,
        _shares(answers[:split]),
        _shares(answers[split:]),
    )


def _shares(answers: list[str]) -> dict[str, float]:
    return {name: count / len(answers) for name, count in Counter(answers).items()}
