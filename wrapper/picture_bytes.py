"""Decodes PNG and JPEG pictures of 28 x 28 pixels, and no others."""

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
# A header chunk of 28 x 28 pixels, 8 bits, grey, deflated, with the five filters, not interlaced.
_PLAIN = struct.pack(">4sIIBBBBB", b"IHDR", SIDE, SIDE, 8, 0, 0, 0, 0)
_PLAIN_HEADER = _PNG + struct.pack(">I17sI", 13, _PLAIN, zlib.crc32(_PLAIN))
_CHUNK = struct.Struct(">I4s")
# Chunks that say nothing of the pixels' values.
_WITHOUT_PIXELS = (b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs")
_JPEG = b"\xff\xd8\xff"
_BEGINNINGS = (_PNG, _JPEG)
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
    return content.startswith(_BEGINNINGS)


def any_picture(contents: Sequence[bytes]) -> bool:
    """Whether any of them begins as a PNG or JPEG file does."""
    return any(map(is_picture, contents))


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
    plain = _plain_grey(content)
    if plain is not None:
        return plain
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


def _plain_grey(content: bytes) -> Optional[NDArray[np.uint8]]:
    """The pixels of the PNG that most senders write: grey of 8 bits, without transparency.

    Pillow spends most of its time on opening a file. Of this kind only its decoder is needed, which
    takes a third of the time. A file of any other kind, or one that is broken, is left to Pillow.
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
    """The compressed data of such a PNG; None of any other file.

    https://www.w3.org/TR/png-3/#5DataRep
    """
    if not content.startswith(_PLAIN_HEADER):
        return None
    parts: List[bytes] = []
    at = len(_PLAIN_HEADER)
    while at + 8 <= len(content):
        length, kind = _CHUNK.unpack_from(content, at)
        end = at + 8 + length
        if content[end : end + 4] != zlib.crc32(content[at + 4 : end]).to_bytes(4, "big"):
            return None
        if kind == b"IEND":
            return b"".join(parts)
        if kind == b"IDAT":
            parts.append(content[at + 8 : end])
        elif kind not in _WITHOUT_PIXELS:
            return None
        at = end + 4
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
    # Pillow's own way to an array takes twice as long.
    return np.frombuffer(picture.tobytes(), np.uint8).reshape(SIDE, SIDE)


def _too_large() -> BadPicture:
    return BadPicture(
        "image_too_large", "the picture has more than 4096 x 4096 pixels, 28 x 28 are needed"
    )
