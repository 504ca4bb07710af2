"""The bounded log of results that all pages show."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from consumer.answers import Answer, Label
from consumer.corrections import class_of
from consumer.labels import HIRAGANA
from seldon_kafka.messages import InputPosition

MOST_RESULTS = 20_000
"""Number of results to keep."""

_ROMAJI = tuple(HIRAGANA)

ImageOf = tuple[InputPosition, int]
"""Identifies an image: the position of its input record, and its row in the message."""


@dataclass(frozen=True, slots=True)
class Result:
    """One image with its answer, or one dead letter, or one file that was not sent.

    Attributes:
        number: number of the result.
        received_s: the time at which it was read, in seconds since 1970.
        answer: the reply or dead letter; for a file that was not sent, an answer of the page.
        at: the position of the reply or dead letter; None for a file that was not sent.
        row: the row of the image in the message.
        latency_ms: the time from the sender's timestamp to the reading, if known.
        label: the label of the image; None if it was not answered.
    """

    number: int
    received_s: float
    answer: Answer
    at: InputPosition | None
    row: int = 0
    latency_ms: float | None = None
    label: Label | None = None

    @property
    def image(self) -> ImageOf | None:
        """Identifies the image, if the message names its input position."""
        return (
            None if self.answer.input_position is None else (self.answer.input_position, self.row)
        )

    @property
    def senders_truth(self) -> str:
        """The truth by the sender, or an empty text."""
        truth = self.answer.truth
        return truth[self.row] if len(truth) == max(1, len(self.answer.labels)) else ""


class ResultLog:
    """The latest results; safe to use from several threads.

    Args:
        most: number of results to keep; up to an eighth more are kept between deletions.

    Attributes:
        corrections: number of corrections.
    """

    def __init__(self, most: int = MOST_RESULTS) -> None:
        self.corrections = 0
        self._most = most
        self._results: list[Result] = []
        self._next = 1
        self._truth: dict[ImageOf, str] = {}
        self._lock = threading.Lock()

    @property
    def oldest(self) -> int:
        """The number of the oldest result that is kept."""
        with self._lock:
            return self._results[0].number if self._results else self._next

    @property
    def newest(self) -> int:
        """The number of the newest result; 0 if there is none."""
        return self._next - 1

    def add(
        self, answer: Answer, at: InputPosition | None, received_s: float, latency_ms: float | None
    ) -> None:
        """Adds a result for each label of an answer, or one result if it has no labels."""
        with self._lock:
            for row, label in enumerate(answer.labels or (None,)):
                self._results.append(
                    Result(self._next, received_s, answer, at, row, latency_ms, label)
                )
                self._next += 1
            # Deletes many at once, because each deletion at the front moves all others.
            if len(self._results) > self._most + self._most // 8:
                del self._results[: len(self._results) - self._most]

    def correct(self, image: ImageOf, truth: str) -> None:
        """Sets the truth of an image, which replaces that of its sender."""
        with self._lock:
            self.corrections += 1
            self._truth[image] = truth
            while len(self._truth) > self._most:
                self._truth.pop(next(iter(self._truth)))

    def truth(self, result: Result) -> str:
        """Returns the corrected truth of a result, else the sender's truth, else an empty text."""
        image = result.image
        corrected = self._truth.get(image) if image is not None else None
        return _as_class_name(
            result.senders_truth if corrected is None else corrected, result.label
        )

    def is_corrected(self, result: Result) -> bool:
        """Returns whether a result has a correction."""
        return result.image in self._truth

    def after(self, number: int) -> list[Result]:
        """Returns the kept results after this number, the oldest first."""
        with self._lock:
            if not self._results:
                return []
            return self._results[max(0, number + 1 - self._results[0].number) :]

    def find(self, number: int) -> Result | None:
        """Returns the result with this number, if it is kept."""
        with self._lock:
            if not self._results:
                return None
            index = number - self._results[0].number
            return self._results[index] if 0 <= index < len(self._results) else None


def _as_class_name(truth: str, label: Label | None) -> str:
    """Converts a truth in hiragana or a class number to the model's class name, if it has one."""
    if not truth or label is None or truth == label.name:
        return truth
    names = [name for name, _ in label.probabilities]
    number = class_of(truth)
    if number is None or truth in names:
        return truth
    name = _ROMAJI[number]
    return name if name in names else truth
