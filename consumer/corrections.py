"""Makes a training set of images and right labels from feedback about answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import orjson
from numpy.typing import NDArray

from consumer.labels import HIRAGANA
from consumer.pictures import SIDE, read_pixels
from seldon_kafka.codec.feedback import BadFeedback, Feedback, read
from seldon_kafka.messages import InputPosition, Record

MOST = 500_000
"""Limit of the number of corrections. It is also the limit of `model.train`."""

NO_FEEDBACK = "the message is not valid feedback"
NO_TRUTH = "the feedback has no label"
UNKNOWN_LABEL = "the label is not one of the ten characters"
NO_IMAGE = "the feedback has neither a request nor the position of its input"
OTHER_TOPIC = "the input is in another topic"
DELETED = "the input no longer exists in its topic"
BAD_IMAGE = "the request contains no images of 28 x 28"
OTHER_COUNT = "the numbers of labels and images differ"

_CLASSES = {
    text: number for number, pair in enumerate(HIRAGANA.items()) for text in (*pair, str(number))
}


class TooManyCorrections(Exception):
    """There are more than `MOST` corrections, which might not fit in memory."""


def class_of(label: str) -> int | None:
    """Returns the index of the class for a label; None if the label is unknown.

    Args:
        label: the class in romaji, in hiragana, or as its index.
    """
    return _CLASSES.get(label.strip().lower())


@dataclass(frozen=True)
class _RowFeedback:
    """The latest feedback on one row of one reply.

    Attributes:
        label: the right label, according to the feedback.
        partition: partition of the feedback topic.
        given_ms: time of the feedback, in ms since 1970.
        image: uint8 (28, 28), from the request in the feedback or from the input; None if missing.
        position: position of the input record; None if the position is unknown, or if the record
            was already fetched.
        rows: number of labels in the feedback.
        no_image_reason: reason why there is no image; valid only if `image` and `position` are
            both None.
    """

    label: str
    partition: int
    given_ms: int
    image: NDArray[np.uint8] | None
    position: InputPosition | None
    rows: int
    no_image_reason: str


@dataclass(frozen=True)
class TrainingSet:
    """Images with their right labels, ordered by puid and row.

    Attributes:
        images: uint8 (n, 28, 28).
        labels: uint8 (n,), indexes of classes in `consumer.labels.HIRAGANA`.
        left_out: number of feedback messages and rows that were left out, by reason.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    left_out: Counter[str]


class Corrections:
    """Gathers all feedback with `add`, and then the missing inputs with `add_input`.

    Args:
        input_topic: name of the input topic; inputs in other topics are not requested.
        max_bytes: limit of the size of a value, in bytes; larger values are not decoded.
    """

    def __init__(self, input_topic: str, max_bytes: int) -> None:
        self._input_topic = input_topic
        self._max_bytes = max_bytes
        self._latest: dict[tuple[str, int], _RowFeedback] = {}
        self._requested: dict[InputPosition, list[tuple[str, int]]] = {}
        self._left_out: Counter[str] = Counter()

    def add(self, record: Record) -> None:
        """Adds a message of the feedback topic.

        The messages of one partition must be added in the order of their offsets.

        Raises:
            TooManyCorrections: more than `MOST` rows have feedback.
        """
        try:
            feedback = read(record, self._max_bytes)
        except BadFeedback:
            self._left_out[NO_FEEDBACK] += 1
            return
        truth = {row: label for row, label in enumerate(feedback.truth) if label}
        if not truth:
            self._left_out[NO_TRUTH] += 1
            return
        images, no_image_reason = self._own_images(feedback)
        for row, label in truth.items():
            image = None if images is None else images[row].copy()
            self._merge(
                (feedback.puid, row),
                _RowFeedback(
                    label,
                    record.partition,
                    feedback.given_ms,
                    image,
                    feedback.position,
                    len(feedback.truth),
                    no_image_reason,
                ),
            )

    def missing_inputs(self) -> list[tuple[int, int]]:
        """Returns partition and offset of each input that must be fetched for its images."""
        self._requested = {}
        for key, feedback in self._latest.items():
            position = feedback.position
            if feedback.image is None and position is not None and position[0] == self._input_topic:
                self._requested.setdefault(position, []).append(key)
        return [(partition, offset) for _, partition, offset in self._requested]

    def add_input(self, record: Record) -> None:
        """Adds the images of an input that `missing_inputs` has returned; ignores other inputs."""
        keys = self._requested.get((record.topic, record.partition, record.offset), ())
        images = read_pixels(record, self._max_bytes) if keys else None
        for key in keys:
            feedback = self._latest[key]
            if images is None:
                feedback = replace(feedback, no_image_reason=BAD_IMAGE)
            elif len(images) != feedback.rows:
                feedback = replace(feedback, no_image_reason=OTHER_COUNT)
            else:
                feedback = replace(feedback, image=images[key[1]].copy())
            self._latest[key] = replace(feedback, position=None)

    def training_set(self) -> TrainingSet:
        """Returns the training set of all rows that have an image and a known label."""
        left_out = self._left_out.copy()
        images, labels = [], []
        for _, feedback in sorted(self._latest.items()):
            number = class_of(feedback.label)
            if number is None:
                left_out[UNKNOWN_LABEL] += 1
            elif feedback.image is None:
                left_out[self._why_no_image(feedback)] += 1
            else:
                images.append(feedback.image)
                labels.append(number)
        stack = np.array(images, np.uint8).reshape(-1, SIDE, SIDE)
        return TrainingSet(stack, np.array(labels, np.uint8), left_out)

    def _own_images(self, feedback: Feedback) -> tuple[NDArray[np.uint8] | None, str]:
        """Returns the images of the request in the feedback, or None and the reason."""
        if feedback.request is None:
            return None, NO_IMAGE
        try:
            value = orjson.dumps(feedback.request)
        except orjson.JSONEncodeError:  # it is nested too deeply
            return None, BAD_IMAGE
        images = read_pixels(Record("", 0, 0, -1, None, value, ()), self._max_bytes)
        if images is None:
            return None, BAD_IMAGE
        if len(images) != len(feedback.truth):
            return None, OTHER_COUNT
        return images, ""

    def _merge(self, key: tuple[str, int], feedback: _RowFeedback) -> None:
        before = self._latest.get(key)
        if before is not None:
            # If partitions were added to the topic, two partitions may have feedback on one reply.
            # Only the time then shows which feedback is the latest.
            if before.partition != feedback.partition and feedback.given_ms < before.given_ms:
                before, feedback = feedback, before
            if feedback.image is None:
                feedback = replace(
                    feedback, image=before.image, position=feedback.position or before.position
                )
        elif len(self._latest) >= MOST:
            raise TooManyCorrections(
                f"more than {MOST:,} corrections; delete feedback that was already used"
            )
        self._latest[key] = feedback

    def _why_no_image(self, feedback: _RowFeedback) -> str:
        if feedback.position is None:
            return feedback.no_image_reason
        return DELETED if feedback.position[0] == self._input_topic else OTHER_TOPIC
