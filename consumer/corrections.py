"""From people's word on answers to pictures with their right labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import orjson
from numpy.typing import NDArray

from consumer.labels import HIRAGANA
from consumer.pictures import SIDE, read_pixels
from seldon_kafka.codec.feedback import BadFeedback, Feedback, Place, read
from seldon_kafka.messages import Record

MOST = 500_000
"""Rows that may be spoken of: ten times the data set, and what `model.train` takes."""

NO_FEEDBACK = "the message is no feedback"
NO_TRUTH = "the feedback names no label"
UNKNOWN_LABEL = "the label is none of the ten characters"
NO_PICTURE = "the feedback has no request, and does not say where it was"
OTHER_TOPIC = "the input is of another topic"
GONE = "the input is not in its topic any more"
BAD_PICTURE = "the request holds no pictures of 28 x 28"
OTHER_COUNT = "there are not as many labels as pictures"

_CLASSES = {
    text: number for number, pair in enumerate(HIRAGANA.items()) for text in (*pair, str(number))
}


class TooMany(Exception):
    """More rows are spoken of than fit in memory; the message says how many may be."""


def class_of(label: str) -> int | None:
    """The class that a label names: in romaji, hiragana, or by its number; None if none."""
    return _CLASSES.get(label.strip().lower())


@dataclass(frozen=True)
class _Word:
    """The latest word on one row of one message.

    Attributes:
        label: What it says.
        partition: Of the feedback topic, where it stands.
        given_ms: When it was given.
        image: uint8 (28, 28), where the request was given with it.
        place: Where the input is.
        rows: How many rows the message has by this word.
        trouble: Why there is no image in it.
    """

    label: str
    partition: int
    given_ms: int
    image: NDArray[np.uint8] | None
    place: Place | None
    rows: int
    trouble: str


@dataclass(frozen=True)
class TrainingSet:
    """Pictures with their right labels, in the order of puid and row.

    Attributes:
        images: uint8 (n, 28, 28).
        labels: uint8 (n,), places in `consumer.labels.HIRAGANA`.
        left_out: Reason -> how often.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    left_out: Counter[str]


class Corrections:
    """Gathers feedback: first all of it, then the inputs that it speaks of."""

    def __init__(self, input_topic: str, max_bytes: int) -> None:
        """Begin with nothing.

        Args:
            input_topic: Where inputs are; a place in any other topic is not gone to.
            max_bytes: Larger messages are not looked at.
        """
        self._input_topic = input_topic
        self._max_bytes = max_bytes
        self._words: dict[tuple[str, int], _Word] = {}
        self._asked: dict[Place, list[tuple[str, int]]] = {}
        self._left_out: Counter[str] = Counter()

    def add(self, record: Record) -> None:
        """Take a message of the feedback topic; those of one partition in their order.

        Raises:
            TooMany: Over `MOST` rows are spoken of.
        """
        try:
            feedback = read(record, self._max_bytes)
        except BadFeedback:
            self._left_out[NO_FEEDBACK] += 1
            return
        said = {row: label for row, label in enumerate(feedback.truth) if label}
        if not said:
            self._left_out[NO_TRUTH] += 1
            return
        images, trouble = self._own_images(feedback)
        for row, label in said.items():
            image = None if images is None else images[row].copy()
            self._hear(
                (feedback.puid, row),
                _Word(
                    label,
                    record.partition,
                    feedback.given_ms,
                    image,
                    feedback.place,
                    len(feedback.truth),
                    trouble,
                ),
            )

    def wanted(self) -> list[tuple[int, int]]:
        """Partitions and offsets of the inputs that are still needed, to be given to `show`."""
        self._asked = {}
        for key, word in self._words.items():
            place = word.place
            if word.image is None and place is not None and place[0] == self._input_topic:
                self._asked.setdefault(place, []).append(key)
        return [(partition, offset) for _, partition, offset in self._asked]

    def show(self, record: Record) -> None:
        """Take an input that was wanted."""
        keys = self._asked.get((record.topic, record.partition, record.offset), ())
        images = read_pixels(record, self._max_bytes) if keys else None
        for key in keys:
            word = self._words[key]
            if images is None:
                word = replace(word, trouble=BAD_PICTURE)
            elif len(images) != word.rows:
                word = replace(word, trouble=OTHER_COUNT)
            else:
                word = replace(word, image=images[key[1]].copy())
            self._words[key] = replace(word, place=None)

    def settle(self) -> TrainingSet:
        """What has come of it all."""
        left_out = self._left_out.copy()
        images, labels = [], []
        for _, word in sorted(self._words.items()):
            number = class_of(word.label)
            if number is None:
                left_out[UNKNOWN_LABEL] += 1
            elif word.image is None:
                left_out[self._why_no_image(word)] += 1
            else:
                images.append(word.image)
                labels.append(number)
        stack = np.array(images, np.uint8).reshape(-1, SIDE, SIDE)
        return TrainingSet(stack, np.array(labels, np.uint8), left_out)

    def _own_images(self, feedback: Feedback) -> tuple[NDArray[np.uint8] | None, str]:
        """The pictures in the feedback's own request, else why there are none."""
        if feedback.request is None:
            return None, NO_PICTURE
        try:
            value = orjson.dumps(feedback.request)
        except orjson.JSONEncodeError:  # it is nested more deeply than is written
            return None, BAD_PICTURE
        images = read_pixels(Record("", 0, 0, -1, None, value, ()), self._max_bytes)
        if images is None:
            return None, BAD_PICTURE
        if len(images) != len(feedback.truth):
            return None, OTHER_COUNT
        return images, ""

    def _hear(self, key: tuple[str, int], word: _Word) -> None:
        before = self._words.get(key)
        if before is not None:
            # Topics that were widened have words on one answer in two partitions.
            if before.partition != word.partition and word.given_ms < before.given_ms:
                before, word = word, before
            if word.image is None:
                word = replace(word, image=before.image, place=word.place or before.place)
        elif len(self._words) >= MOST:
            raise TooMany(f"more than {MOST:,} corrections; delete what was trained on already")
        self._words[key] = word

    def _why_no_image(self, word: _Word) -> str:
        if word.place is None:
            return word.trouble
        return GONE if word.place[0] == self._input_topic else OTHER_TOPIC
