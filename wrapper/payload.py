"""Converts each payload that the classes accept to rows of pixels.

Rows are uint8, 0 for background and 255 for full ink. With integers the scale is unambiguous: rows
may be stacked, split and converted again without a second scaling. No precision is lost, because
the shipped network rounds its input to integers.
"""

from __future__ import annotations

from typing import Any, List, Union

import numpy as np
from numpy.typing import NDArray
from seldon_core.flask_utils import SeldonMicroserviceException

from wrapper import picture_bytes

SIDE = 28
PIXELS = SIDE * SIDE

_SHAPES = "(28, 28), (n, 28, 28), (n, 28, 28, 1), (784,) or (n, 784)"


class BadPayload(SeldonMicroserviceException):  # type: ignore[misc]
    """A payload that is not valid; Seldon's server answers it with status 400.

    Attributes:
        reason: a constant word for programs.
        message: description of the error, and of valid payloads.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, status_code=400, reason=reason)

    def __str__(self) -> str:
        """Returns the message; without this method gRPC errors would be empty."""
        return str(self.message)


def to_rows(payload: Any) -> NDArray[np.uint8]:
    """Checks a payload and converts it to images.

    Args:
        payload: an array or nested list of numbers of shape (28, 28), (n, 28, 28), (n, 28, 28, 1),
            (784,) or (n, 784); or the bytes of a PNG or JPEG picture of 28 x 28 pixels; or n x 784
            raw bytes. If any number is above 1, the scale of the payload is 0 to 255. Otherwise the
            scale of integers is 0 to 255, and that of floats 0 to 1.

    Returns:
        uint8 (n, 28, 28), n at least 1, on the scale 0 to 255.

    Raises:
        BadPayload: the payload has none of these forms. Its `reason` is one of `bad_image`,
            `bad_shape`, `bad_value`, `empty`, `image_too_large`, `not_finite`, `ragged` and
            `unsupported`.
    """
    if isinstance(payload, np.ndarray):
        return _array_to_rows(payload)
    if isinstance(payload, (bytes, bytearray, memoryview)):
        return _bytes_to_rows(bytes(payload))
    if isinstance(payload, (list, tuple)):
        return _array_to_rows(as_array(payload))
    found = "text" if isinstance(payload, str) else f"a {type(payload).__name__}"
    raise BadPayload(
        "unsupported", f"expected an array of pixels or the bytes of an image, got {found}"
    )


def stack_to_rows(stack: Union[NDArray[np.uint8], List[bytes]]) -> NDArray[np.uint8]:
    """Converts the payloads of many messages to images.

    Args:
        stack: uint8 (messages, ...), or the bytes of each message, all of the same length.

    Returns:
        The results of `to_rows` for all payloads, in one array.

    Raises:
        BadPayload: a payload is not valid, or the messages have different numbers of images.
    """
    if isinstance(stack, np.ndarray):
        to_rows(stack[0])
        return stack.reshape(-1, SIDE, SIDE)
    if len(stack) == 1:
        return to_rows(stack[0])
    if len(stack[0]) % PIXELS or picture_bytes.any_picture(stack):
        rows = [to_rows(content) for content in stack]
        if len({len(each) for each in rows}) > 1:
            raise BadPayload(
                "bad_shape", "the messages of a stack have different numbers of images"
            )
        return np.concatenate(rows)
    return _bytes_to_rows(b"".join(stack))


def as_array(values: Any) -> NDArray[Any]:
    """Converts nested lists to an array.

    Raises:
        BadPayload: the lists are not rectangular, or nested deeper than numpy supports.
    """
    try:
        return np.array(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadPayload(
            "ragged", f"the lists form no array, expected 28 rows of 28 numbers ({error})"
        ) from error


def _array_to_rows(array: NDArray[Any]) -> NDArray[np.uint8]:
    kind = array.dtype.kind
    if array.size == 0:
        raise BadPayload("empty", f"the array of shape {array.shape} holds no pixels")
    if kind not in "uif":
        held = {"b": "true and false", "U": "text", "S": "text", "c": "complex numbers"}
        raise BadPayload(
            "bad_value", f"expected numbers from 0 to 255, got {held.get(kind, 'mixed values')}"
        )
    images = _as_images(array)
    if array.dtype == np.uint8:
        return images
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BadPayload("not_finite", "expected numbers from 0 to 255, got NaN or infinity")
    if low < 0 or high > 255:
        wrong = low if low < 0 else high
        raise BadPayload("bad_value", f"expected numbers from 0 to 255, got {wrong:g}")
    if kind == "f":
        images = np.rint(images if high > 1 else images * 255)
    rows: NDArray[np.uint8] = images.astype(np.uint8)
    return rows


def _as_images(array: NDArray[Any]) -> NDArray[Any]:
    """Reshapes an array to (n, 28, 28) if the order of its pixels is unambiguous."""
    shape = array.shape
    if shape[-2:] == (SIDE, SIDE) and array.ndim in (2, 3):
        return array.reshape(-1, SIDE, SIDE)
    if shape[-1:] == (PIXELS,) and array.ndim in (1, 2):
        return array.reshape(-1, SIDE, SIDE)
    if array.ndim == 4 and shape[1:] == (SIDE, SIDE, 1):
        return array.reshape(-1, SIDE, SIDE)
    if array.ndim in (1, 2) and SIDE not in shape:
        raise BadPayload("bad_shape", f"expected 784 values for each image, got {shape[-1]}")
    raise BadPayload("bad_shape", f"expected an array of shape {_SHAPES}, got {shape}")


def _bytes_to_rows(content: bytes) -> NDArray[np.uint8]:
    if not content:
        raise BadPayload("empty", "the payload has no bytes")
    if picture_bytes.is_picture(content):
        try:
            return picture_bytes.decode(content)[None]
        except picture_bytes.BadPicture as error:
            raise BadPayload(error.reason, str(error)) from error
    if len(content) % PIXELS:
        raise BadPayload(
            "bad_shape",
            f"expected a PNG, a JPEG or 784 bytes for each image, got {len(content)} bytes",
        )
    return np.frombuffer(content, np.uint8).reshape(-1, SIDE, SIDE)
