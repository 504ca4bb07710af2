"""Decodes PNG and JPEG pictures of 28 x 28 pixels, and no others."""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 28
PIXEL_LIMIT = 4096 * 4096

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# What Pillow raises for bytes that go wrong somewhere inside a picture.
_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error),
    *(AssertionError, AttributeError),  # a palette that is used and not there
)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


class BadPicture(Exception):
    """A picture that can't be taken.

    Attributes:
        reason: `bad_image`, `bad_shape` or `image_too_large`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def is_picture(content: bytes) -> bool:
    """Whether bytes begin as a PNG or JPEG file does."""
    return content.startswith((_PNG, _JPEG))


def decode(content: bytes) -> NDArray[np.uint8]:
    """Decode a picture as it is: white ink on black, neither cropped nor inverted.

    Args:
        content: A PNG or JPEG file of 28 x 28 pixels. Colours become grey; what is
            transparent becomes black.

    Returns:
        uint8 (28, 28).

    Raises:
        BadPicture: It is broken or of another size. The size is read from the header,
            before memory is taken for pixels.
    """
    try:
        # Of bytes in memory nothing is left open.
        picture = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
        _check_size(picture)
        picture.load()
        return _grey(picture)
    except _BOMBS as error:
        raise _too_large() from error
    except _BROKEN as error:
        raise BadPicture("bad_image", f"the picture is broken or cut off: {error}") from error


def _check_size(picture: Image.Image) -> None:
    width, height = picture.size
    if width * height > PIXEL_LIMIT:
        raise _too_large()
    if (width, height) != (SIDE, SIDE):
        raise BadPicture(
            "bad_shape",
            f"expected a picture of 28 x 28 pixels, got {width} x {height}: "
            "`python -m producer` converts and sends pictures of any size",
        )


def _grey(picture: Image.Image) -> NDArray[np.uint8]:
    if picture.mode.startswith("I"):  # 16 bits: Pillow's own conversion clips at 255
        return np.asarray(np.asarray(picture) >> 8, dtype=np.uint8)
    if picture.has_transparency_data:
        opaque = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(opaque, picture.convert("RGBA"))
    if picture.mode != "L":
        picture = picture.convert("L")
    # Pillow's own way to an array takes twice as long.
    return np.frombuffer(picture.tobytes(), np.uint8).reshape(SIDE, SIDE)


def _too_large() -> BadPicture:
    return BadPicture(
        "image_too_large", "the picture has more than 4096 x 4096 pixels, 28 x 28 are needed"
    )
