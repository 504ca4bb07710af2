"""The images that a run sends: encoded in many formats, with the class's answer to each alone."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from kafka.messages import Headers
from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from wrapper import KmnistClassifier

# Format and images in a message, by its number. Mostly what people send, and enough work in each
# for the workers rather than the brokers to be what is busy. No JPEG, which changes the image.
MIX = (
    ("ndarray", 4), ("ndarray", 8), ("raw", 2), ("ndarray", 1), ("ndarray", 6), ("bindata", 3),
    ("ndarray", 4), ("tensor", 5), ("ndarray", 2), ("png", 1), ("ndarray", 8), ("v2", 4),
    ("ndarray", 4), ("tfserving", 4), ("ndarray", 3), ("protobuf", 2),
)  # fmt: skip
TOLERANCE = 1e-5
"""How far an answer may be off; design: the same alone or in any batch, to 1e-5."""


@dataclass(frozen=True)
class Coded:
    """Images as a message.

    Attributes:
        value: its value.
        headers: what the value is.
        shown: which images it holds, for `is_answer`.
    """

    value: bytes
    headers: Headers
    shown: str


@functools.cache
def images() -> NDArray[np.uint8]:
    """uint8 (n, 28, 28), all different."""
    return load_samples().images


@functools.cache
def answers() -> NDArray[np.float64]:
    """The class's probabilities (n, 10) for each image, asked one at a time."""
    classifier = KmnistClassifier()
    classifier.load()
    alone = [classifier.predict(images()[place : place + 1]).data[0] for place in range(count())]
    return np.array(alone, dtype=np.float64)


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


def is_answer(value: bytes, proto_name: bytes | None, shown: str) -> bool:
    """Whether a reply's value is the class's answer to each image that the message showed."""
    first, images_in_it = (int(number) for number in shown.split("+"))
    expected = answers()[[(first + place) % count() for place in range(images_in_it)]]
    try:
        rows = np.asarray(_probabilities(value, proto_name), dtype=np.float64).reshape(-1, 10)
    except (ValueError, KeyError, TypeError, IndexError):
        return False
    return rows.shape == expected.shape and bool(np.abs(rows - expected).max() <= TOLERANCE)


def _probabilities(value: bytes, proto_name: bytes | None) -> Any:
    """The numbers in a reply, row after row."""
    if proto_name is not None:
        from seldon_core.proto import prediction_pb2

        return list(prediction_pb2.SeldonMessage.FromString(value).data.tensor.values)
    document = orjson.loads(value)
    if "predictions" in document:
        return document["predictions"]
    if "outputs" in document:
        return document["outputs"][0]["data"]
    data = document["data"]
    return data["tensor"]["values"] if "tensor" in data else data["ndarray"]
