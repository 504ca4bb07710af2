"""The images that a run sends, encoded in many formats."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from seldon_kafka.messages import Headers

# Format and images in a message, by its number. Mostly what people send, and enough work in each
# for the workers rather than the brokers to be what is busy. No JPEG, which changes the image.
MIX = (
    ("ndarray", 4), ("ndarray", 8), ("raw", 2), ("ndarray", 1), ("ndarray", 6), ("bindata", 3),
    ("ndarray", 4), ("tensor", 5), ("ndarray", 2), ("png", 1), ("ndarray", 8), ("v2", 4),
    ("ndarray", 4), ("tfserving", 4), ("ndarray", 3), ("protobuf", 2),
)  # fmt: skip

# Samples that the default model is all but as sure of as it takes to abstain: how an answer is
# rounded would decide.
_TOO_CLOSE = (37,)


@dataclass(frozen=True)
class Coded:
    """Images as a message.

    Attributes:
        value: its value.
        headers: what the value is.
        shown: which images it holds, for `answers.is_answer`.
    """

    value: bytes
    headers: Headers
    shown: str


@functools.cache
def images() -> NDArray[np.uint8]:
    """uint8 (n, 28, 28), all different."""
    return np.delete(load_samples().images, _TOO_CLOSE, axis=0)


def count() -> int:
    """How many images there are."""
    return len(images())


def message(number: int) -> Coded:
    """The message of this number in the steady load."""
    wire_format, images_in_it = MIX[number % len(MIX)]
    return coded(wire_format, number % count(), images_in_it)


@functools.cache
def coded(wire_format: str, first: int, images_in_it: int = 1) -> Coded:
    """Images from the first one on, as a message."""
    chosen = FORMATS[wire_format]
    places = [(first + place) % count() for place in range(images_in_it)]
    value = encode(chosen, images()[places])
    return Coded(value, chosen.headers(), f"{first}+{images_in_it}")
