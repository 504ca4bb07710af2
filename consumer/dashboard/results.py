"""What has come: a bounded log that all pages look at."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from consumer.answers import Answer, InputPosition, Label
from consumer.corrections import class_of
from consumer.labels import HIRAGANA

MOST_RESULTS = 20_000
"""Results that are kept; older ones are forgotten."""

_ROMAJI = tuple(HIRAGANA)

ImageOf = tuple[InputPosition, int]
"""An image: the place of its input message, and its row in it."""


@dataclass(frozen=True, slots=True)
class Result:
    """One image with its answer, or one dead letter, or one file that was never sent.

    Attributes:
        number: Counts up as they come.
        came_s: When, in seconds since 1970.
        answer: The whole message; of a file that was refused, made up by the page.
        at: Topic, partition and offset of the message itself; None of a refused file.
        row: Which of the message's images.
        latency_ms: From the sender's timestamp until it came here, if known.
        label: What the image was taken for; None of what was not answered.
    """

    number: int
    came_s: float
    answer: Answer
    at: InputPosition | None
    row: int = 0
    latency_ms: float | None = None
    label: Label | None = None

    @property
    def image(self) -> ImageOf | None:
        """Which image it is, if the message says so."""
        return (
            None if self.answer.input_position is None else (self.answer.input_position, self.row)
        )

    @property
    def told_truth(self) -> str:
        """What the sender said that it shows, or nothing."""
        truth = self.answer.truth
        return truth[self.row] if len(truth) == max(1, len(self.answer.labels)) else ""


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
    def oldest(self) -> int:
        """The lowest number that is kept."""
        with self._lock:
            return self._results[0].number if self._results else self._next

    @property
    def newest(self) -> int:
        """The highest number there is; 0 if nothing has come."""
        return self._next - 1

    def add(
        self, answer: Answer, at: InputPosition | None, came_s: float, latency_ms: float | None
    ) -> None:
        """Take a message in: a result for each of its images, or one if it has none."""
        with self._lock:
            for row, label in enumerate(answer.labels or (None,)):
                self._results.append(Result(self._next, came_s, answer, at, row, latency_ms, label))
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
        return _in_its_words(result.told_truth if corrected is None else corrected, result.label)

    def is_corrected(self, result: Result) -> bool:
        """Whether a person said what it shows."""
        return result.image in self._truth

    def after(self, number: int) -> list[Result]:
        """What came after the result of this number and is kept, the oldest first."""
        with self._lock:
            if not self._results:
                return []
            return self._results[max(0, number + 1 - self._results[0].number) :]

    def find(self, number: int) -> Result | None:
        """The result of this number, if it is still kept."""
        with self._lock:
            if not self._results:
                return None
            place = number - self._results[0].number
            return self._results[place] if 0 <= place < len(self._results) else None


def _in_its_words(truth: str, label: Label | None) -> str:
    """Truth as the model names it: people also write hiragana, and programs the class's number."""
    if not truth or label is None or truth == label.name:
        return truth
    names = [name for name, _ in label.probabilities]
    number = class_of(truth)
    if number is None or truth in names:
        return truth
    name = _ROMAJI[number]
    return name if name in names else truth
