"""How right the answers are, of the results that are kept and whose truth is known."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from consumer.dashboard.results import ResultLog

_WINDOW = 200
_POINTS = 300
_LATELY = 500


@dataclass(frozen=True)
class Quality:
    """What is known.

    Attributes:
        known: Images of which it is known what they show.
        right: Those that were recognised.
        corrected: Those of which a person said it here.
        running: (known images so far, accuracy of the latest 200 in percent).
        confusion: (truth, answer) -> images.
        before: Share of each answer, but for the latest 500 images.
        lately: Share of each answer among those.
    """

    known: int
    right: int
    corrected: int
    running: list[tuple[int, float]]
    confusion: Counter[tuple[str, str]]
    before: dict[str, float]
    lately: dict[str, float]


def judge(log: ResultLog) -> Quality:
    """Look through all results that are kept."""
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
    split = max(0, len(answers) - _LATELY)
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
