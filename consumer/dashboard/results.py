"""The bounded log of results that all pages show."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from consumer.answers import Answer, Label
from consumer.corrections import class_of
from consumer.labels import HIRAGANA
from seldon_kafka.messages import InputPosition

MOST_RESULTS = 20_000
"""Default number of results that are kept."""

_ROMAJI = tuple(HIRAGANA)

ImageOf = tuple[InputPosition, int]
"""An image: the position of the input message, and the index of the image in this message."""


@dataclass(frozen=True, slots=True)
class Result:
    """An image with its label, a message without labels, or a file that was not sent.

    Attributes:
        number: number of the result, from 1.
        received_s: time at which the answer was read, in seconds since 1970.
        answer: the reply or dead letter. For a file that was not sent, `Sender.refuse` made the
            answer.
        at: position of the reply or dead letter; None for a file that was not sent.
        row: index of the image in its message.
        latency_ms: time from the timestamp of the input to the reading, in ms; None if unknown.
        label: label of the image; None if there is none.
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
        """The image of the result; None if the position of the input is unknown."""
        return (
            None if self.answer.input_position is None else (self.answer.input_position, self.row)
        )

    @property
    def senders_truth(self) -> str:
        """The true label that the sender named; empty if unknown."""
        truth = self.answer.truth
        return truth[self.row] if len(truth) == max(1, len(self.answer.labels)) else ""


class ResultLog:
    """The latest results; safe to use from several threads.

    Args:
        most: number of results to keep. Between deletions, the log keeps up to an eighth more.

    Attributes:
        corrections: number of corrections that were set, repetitions included.
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
        """Number of the oldest kept result; without results, the number of the next result."""
        with self._lock:
            return self._results[0].number if self._results else self._next

    @property
    def newest(self) -> int:
        """Number of the newest result; 0 before the first result."""
        return self._next - 1

    def add(
        self, answer: Answer, at: InputPosition | None, received_s: float, latency_ms: float | None
    ) -> None:
        """Adds a result for each label of an answer, or one result if it has no labels.

        Args:
            answer: the answer.
            at: position of the reply or dead letter; None for a file that was not sent.
            received_s: time at which the answer was read, in seconds since 1970.
            latency_ms: latency of the answer, in ms; None if unknown.
        """
        with self._lock:
            for row, label in enumerate(answer.labels or (None,)):
                self._results.append(
                    Result(self._next, received_s, answer, at, row, latency_ms, label)
                )
                self._next += 1
            # Many results are deleted at once, because each deletion moves all other results.
            if len(self._results) > self._most + self._most // 8:
                del self._results[: len(self._results) - self._most]

    def correct(self, image: ImageOf, truth: str) -> None:
        """Sets the true label of an image, which takes precedence over the sender's label."""
        with self._lock:
            self.corrections += 1
            self._truth[image] = truth
            while len(self._truth) > self._most:
                self._truth.pop(next(iter(self._truth)))

    def truth(self, result: Result) -> str:
        """Returns the true label of a result: the corrected one, else the sender's, else empty."""
        image = result.image
        corrected = self._truth.get(image) if image is not None else None
        return _as_class_name(
            result.senders_truth if corrected is None else corrected, result.label
        )

    def is_corrected(self, result: Result) -> bool:
        """Returns whether a result has a correction."""
        return result.image in self._truth

    def after(self, number: int) -> list[Result]:
        """Returns the kept results with a higher number, the oldest first."""
        with self._lock:
            if not self._results:
                return []
            return self._results[max(0, number + 1 - self._results[0].number) :]

    def find(self, number: int) -> Result | None:
        """Returns the result with this number; None if it is not kept."""
        with self._lock:
            if not self._results:
                return None
            index = number - self._results[0].number
            return self._results[index] if 0 <= index < len(self._results) else None


def _as_class_name(truth: str, label: Label | None) -> str:
    """Returns the model's class name for a true label in romaji, in hiragana or as an index.

    If the model has no such class, the true label is returned unchanged.
    """
    if not truth or label is None or truth == label.name:
        return truth
    names = [name for name, _ in label.probabilities]
    number = class_of(truth)
    if number is None or truth in names:
        return truth
    name = _ROMAJI[number]
    return name if name in names else truth
