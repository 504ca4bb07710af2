"""The test images as the messages that the bench sends."""

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
    """One message to be sent."""

    value: bytes
    headers: Headers


def images_of_test_split() -> NDArray[np.uint8]:
    """The 10,000 test images, or the bundled samples where the data set is not at hand.

    Returns:
        uint8 (n, 28, 28).
    """
    return load_split("test").images


def bundled_images() -> NDArray[np.uint8]:
    """The samples that come with the producer, uint8 (n, 28, 28)."""
    return load_samples().images


def payloads(
    format_name: str, images: NDArray[np.uint8], images_a_message: int = 1
) -> Iterator[Payload]:
    """The images as messages.

    Args:
        format_name: One of `FORMAT_NAMES`. `bindata` is base64 of raw bytes.
        images: uint8 (n, 28, 28).
        images_a_message: So many in each; the last ones are left out if they are fewer.
    """
    for start in range(0, len(images) - images_a_message + 1, images_a_message):
        yield _payload(format_name, images[start : start + images_a_message])


def repeated(made: list[Payload], count: int) -> Iterator[Payload]:
    """So many of them, beginning again where they end."""
    return itertools.islice(itertools.cycle(made), count)


def _payload(format_name: str, images: NDArray[np.uint8]) -> Payload:
    if format_name == "bindata":
        text = base64.b64encode(images.tobytes()).decode("ascii")
        return Payload(orjson.dumps({"binData": text}), [])
    wire_format = FORMATS[format_name]
    # JSON is what senders send without a header; bytes have to be named.
    headers = [] if wire_format.is_text else wire_format.headers()
    return Payload(encode(wire_format, images), headers)
