"""Decodes PNG and JPEG pictures of 28 x 28 pixels, and rejects all others."""

from __future__ import annotations

import io
import struct
import zlib
from typing import List, Optional, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 28
PIXEL_LIMIT = 4096 * 4096

_PNG = b"\x89PNG\r\n\x1a\n"
# The header chunk of a picture of 28 x 28 pixels: 8-bit grey, deflate, standard filters, not
# interlaced.
_PLAIN = struct.pack(">4sIIBBBBB", b"IHDR", SIDE, SIDE, 8, 0, 0, 0, 0)
_PLAIN_HEADER = _PNG + struct.pack(">I17sI", 13, _PLAIN, zlib.crc32(_PLAIN))
_CHUNK = struct.Struct(">I4s")
# Chunks that have no effect on pixel values.
_WITHOUT_PIXELS = (b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs")
_JPEG = b"\xff\xd8\xff"
_BEGINNINGS = (_PNG, _JPEG)
# Exceptions that Pillow raises for broken pictures.
_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error),
    *(AssertionError, AttributeError),  # a missing palette
)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


class BadPicture(Exception):
    """A picture that is broken or has not 28 x 28 pixels.

    Attributes:
        reason: `bad_image`, `bad_shape` or `image_too_large`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def is_picture(content: bytes) -> bool:
    """Returns whether the bytes begin like a PNG or JPEG file."""
    return content.startswith(_BEGINNINGS)


def any_picture(contents: Sequence[bytes]) -> bool:
    """Returns whether any of the contents begins like a PNG or JPEG file."""
    return any(map(is_picture, contents))


def decode(content: bytes) -> NDArray[np.uint8]:
    """Decodes a picture of white ink on black, and neither crops nor inverts it.

    Args:
        content: a PNG or JPEG file of 28 x 28 pixels. Colours become grey, and transparent pixels
            become black.

    Returns:
        uint8 (28, 28).

    Raises:
        BadPicture: the picture is broken or has not 28 x 28 pixels. The size is read from the
            header, before memory for the pixels is allocated.
    """
    plain = _plain_grey(content)
    if plain is not None:
        return plain
    try:
        # A picture from bytes in memory needs no close.
        picture = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
        _check_size(picture)
        picture.load()
        return _grey(picture)
    except _BOMBS as error:
        raise _too_large() from error
    except _BROKEN as error:
        raise BadPicture("bad_image", f"the picture is broken or cut off: {error}") from error


def _plain_grey(content: bytes) -> Optional[NDArray[np.uint8]]:
    """Decodes the kind of PNG that most senders write: 8-bit grey without transparency.

    Pillow spends most of the time on opening a file. So this function calls only Pillow's decoder,
    which needs a third of the time.

    Returns:
        uint8 (28, 28); None for any other file and for a broken one.
    """
    data = _grey_data(content)
    if data is None:
        return None
    try:
        pixels = Image.frombytes("L", (SIDE, SIDE), data, "zip", "L").tobytes()
    except _BROKEN:
        return None
    return np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE)


def _grey_data(content: bytes) -> Optional[bytes]:
    """Returns the compressed pixels of a PNG that is 8-bit grey; None for any other file.

    https://www.w3.org/TR/png-3/#5DataRep
    """
    if not content.startswith(_PLAIN_HEADER):
        return None
    parts: List[bytes] = []
    start = len(_PLAIN_HEADER)
    while start + 8 <= len(content):
        length, kind = _CHUNK.unpack_from(content, start)
        end = start + 8 + length
        if content[end : end + 4] != zlib.crc32(content[start + 4 : end]).to_bytes(4, "big"):
            return None
        if kind == b"IEND":
            return b"".join(parts)
        if kind == b"IDAT":
            parts.append(content[start + 8 : end])
        elif kind not in _WITHOUT_PIXELS:
            return None
        start = end + 4
    return None


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
    # Pillow's own conversion to an array takes twice as long.
    return np.frombuffer(picture.tobytes(), np.uint8).reshape(SIDE, SIDE)


def _too_large() -> BadPicture:
    return BadPicture(
        "image_too_large", "the picture has more than 4096 x 4096 pixels, 28 x 28 are needed"
    )
