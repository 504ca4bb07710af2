"""The accuracy of the kept results whose truth is known, and the drift of the labels."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from consumer.dashboard.results import ResultLog

_WINDOW = 200
_POINTS = 300
_RECENT = 500


@dataclass(frozen=True)
class Quality:
    """The accuracy of the kept results.

    Attributes:
        known: number of images with a known truth.
        right: number of those images with the right label.
        corrected: number of those images with a correction.
        running: pairs of the known images so far, and the accuracy of the latest 200 in percent.
        confusion: number of images, by truth and label.
        before: share of each label among all but the latest 500 images.
        recent: share of each label among the latest 500 images.
    """

    known: int
    right: int
    corrected: int
    running: list[tuple[int, float]]
    confusion: Counter[tuple[str, str]]
    before: dict[str, float]
    recent: dict[str, float]


def quality_of(log: ResultLog) -> Quality:
    """Returns the accuracy of all results that are kept."""
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
