"""Encodes images as the messages of the benchmark."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from model.dataset import load_split
from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode

FORMAT_NAMES = ("ndarray", "tensor", "bindata", "png", "raw")
Headers = list[tuple[str, bytes]]


@dataclass(frozen=True)
class Payload:
    """The value and the headers of a message."""

    value: bytes
    headers: Headers


def images_of_test_split() -> NDArray[np.uint8]:
    """Returns the 10,000 test images, uint8 (10000, 28, 28).

    Raises:
        DatasetError: the data set is not available.
    """
    return load_split("test").images


def bundled_images() -> NDArray[np.uint8]:
    """Returns the samples of the producer, uint8 (n, 28, 28)."""
    return load_samples().images


def payloads(
    format_name: str, images: NDArray[np.uint8], images_a_message: int = 1
) -> Iterator[Payload]:
    """Yields the images as messages.

    Args:
        format_name: one of `FORMAT_NAMES`. `bindata` is base64 of raw bytes.
        images: uint8 (n, 28, 28).
        images_a_message: number of images in each message; images that do not fill a message are
            left out.
    """
    for start in range(0, len(images) - images_a_message + 1, images_a_message):
        yield _payload(format_name, images[start : start + images_a_message])


def repeated(made: list[Payload], count: int) -> Iterator[Payload]:
    """Yields `count` payloads, and starts again after the last one of `made`."""
    return itertools.islice(itertools.cycle(made), count)


def _payload(format_name: str, images: NDArray[np.uint8]) -> Payload:
    if format_name == "bindata":
        text = base64.b64encode(images.tobytes()).decode("ascii")
        return Payload(orjson.dumps({"binData": text}), [])
    wire_format = FORMATS[format_name]
    # The runtime recognises JSON without a header; binary formats need one.
    headers = [] if wire_format.is_text else wire_format.headers()
    return Payload(encode(wire_format, images), headers)
