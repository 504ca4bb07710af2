"""The images of a run, encoded in several formats."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from seldon_kafka.messages import Headers

# Format and number of images of a message, by its number. The mix is typical, with enough work for
# each message that the workers are the bottleneck, not the brokers. JPEG changes images, so it is
# left out.
MIX = (
    ("ndarray", 4), ("ndarray", 8), ("raw", 2), ("ndarray", 1), ("ndarray", 6), ("bindata", 3),
    ("ndarray", 4), ("tensor", 5), ("ndarray", 2), ("png", 1), ("ndarray", 8), ("v2", 4),
    ("ndarray", 4), ("tfserving", 4), ("ndarray", 3), ("protobuf", 2),
)  # fmt: skip

# Samples whose confidence is so close to the threshold to abstain that rounding would decide.
_TOO_CLOSE = (37,)


@dataclass(frozen=True)
class EncodedImages:
    """Images as a message.

    Attributes:
        value: value of the message.
        headers: headers that describe the value.
        shown: the images, as `Comparison.is_answer` expects them.
    """

    value: bytes
    headers: Headers
    shown: str


@functools.cache
def images() -> NDArray[np.uint8]:
    """Returns the images, uint8 (n, 28, 28), all different."""
    return np.delete(load_samples().images, _TOO_CLOSE, axis=0)


def count() -> int:
    """Returns the number of images."""
    return len(images())


def message(number: int) -> EncodedImages:
    """Returns the message with this number in the steady load."""
    wire_format, image_count = MIX[number % len(MIX)]
    return encoded(wire_format, number % count(), image_count)


@functools.cache
def encoded(wire_format: str, first: int, image_count: int = 1) -> EncodedImages:
    """Returns consecutive images as a message, from the first one on."""
    chosen = FORMATS[wire_format]
    indices = [(first + step) % count() for step in range(image_count)]
    value = encode(chosen, images()[indices])
    return EncodedImages(value, chosen.headers(), f"{first}+{image_count}")
