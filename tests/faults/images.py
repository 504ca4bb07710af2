"""The images that a run sends: encoded in many formats, with the class's answer to each alone."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from kafka.messages import Headers
from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from wrapper import KmnistClassifier

# By a message's number. Mostly what people send; a JPEG is left out because it changes the image.
MIX = (
    "ndarray", "ndarray", "raw", "ndarray", "ndarray", "bindata", "ndarray", "tensor",
    "ndarray", "ndarray", "png", "ndarray", "v2", "ndarray", "tfserving", "protobuf",
)  # fmt: skip
TOLERANCE = 1e-5
"""How far an answer may be off; design: the same alone or in any batch, to 1e-5."""


@dataclass(frozen=True)
class Encoded:
    """A message's value and the headers that say what it is."""

    value: bytes
    headers: Headers


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


@functools.cache
def encoded(wire_format: str, image: int) -> Encoded:
    """An image as a message's value."""
    chosen = FORMATS[wire_format]
    return Encoded(encode(chosen, images()[image : image + 1]), chosen.headers())


def is_answer(value: bytes, proto_name: bytes | None, image: int) -> bool:
    """Whether a reply's value is the class's answer to this image."""
    try:
        row = np.asarray(_probabilities(value, proto_name), dtype=np.float64)
    except (ValueError, KeyError, TypeError, IndexError):
        return False
    expected = answers()[image]
    return row.shape == expected.shape and bool(np.abs(row - expected).max() <= TOLERANCE)


def _probabilities(value: bytes, proto_name: bytes | None) -> list[float]:
    if proto_name is not None:
        from seldon_core.proto import prediction_pb2

        message = prediction_pb2.SeldonMessage.FromString(value)
        return list(message.data.tensor.values)
    document = orjson.loads(value)
    if "predictions" in document:
        (row,) = document["predictions"]
        return list(row)
    if "outputs" in document:
        return list(document["outputs"][0]["data"])
    data = document["data"]
    if "tensor" in data:
        return list(data["tensor"]["values"])
    (row,) = data["ndarray"]
    return list(row)
