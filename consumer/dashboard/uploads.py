"""From a file that a person dropped to pictures: bounded, and never more than a line of trouble."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producer.picture import BadPicture, to_kmnist

MOST_FILE_BYTES = 16 * 2**20
MOST_ZIP_BYTES = 64 * 2**20
MOST_ZIP_ENTRIES = 1000
"""A ZIP may hold so many pictures, of `MOST_FILE_BYTES` each and `MOST_ZIP_BYTES` together."""

_ZIP = b"PK\x03\x04"
_ZIP_TROUBLE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, OSError,
    EOFError, ValueError,
)  # fmt: skip
_NAME_CHARACTERS = 200


@dataclass(frozen=True)
class Picture:
    """A picture, as the classifier takes it.

    Attributes:
        name: Of its file.
        image: uint8 (28, 28), 0 is background and 255 full ink.
        content: The file as it was.
    """

    name: str
    image: NDArray[np.uint8]
    content: bytes


@dataclass(frozen=True)
class Refused:
    """A file that is not sent.

    Attributes:
        name: Of the file.
        why: In words.
    """

    name: str
    why: str


def pictures(name: str, content: bytes) -> Iterator[Picture | Refused]:
    """The pictures in a file: itself, or what a ZIP holds.

    Args:
        name: Of the file; whatever its sender called it.
        content: All of it.
    """
    name = shortened(name)
    if len(content) > MOST_FILE_BYTES and not content.startswith(_ZIP):
        yield Refused(name, f"more than {MOST_FILE_BYTES // 2**20} MiB")
    elif content.startswith(_ZIP):
        yield from _inside(name, content)
    else:
        yield _picture(name, content)


def shortened(name: str) -> str:
    """A file's name in one line, of a length that can be shown."""
    printable = "".join(char if char.isprintable() else "�" for char in name)
    if len(printable) > _NAME_CHARACTERS:
        return printable[:_NAME_CHARACTERS] + "…"
    return printable or "(no name)"


def _picture(name: str, content: bytes) -> Picture | Refused:
    try:
        return Picture(name, to_kmnist(content), content)
    except BadPicture as error:
        return Refused(name, str(error))
    except Exception as error:
        # Pillow's decoders raise whatever they like for what is broken.
        return Refused(name, f"can't be read as a picture: {type(error).__name__}")


def _inside(name: str, content: bytes) -> Iterator[Picture | Refused]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [each for each in archive.infolist() if not each.is_dir()]
            if len(entries) > MOST_ZIP_ENTRIES:
                yield Refused(name, f"more than {MOST_ZIP_ENTRIES:,} files in it")
                return
            left = MOST_ZIP_BYTES
            for entry in entries:
                inside = f"{name}/{shortened(entry.filename)}"
                if entry.flag_bits & 1:
                    yield Refused(inside, "it is encrypted")
                    continue
                # What an entry says of its size need not be true: read no further than allowed.
                with archive.open(entry) as file:
                    found = file.read(min(MOST_FILE_BYTES, left) + 1)
                left -= len(found)
                if left < 0:
                    yield Refused(name, f"more than {MOST_ZIP_BYTES // 2**20} MiB in it")
                    return
                if len(found) > MOST_FILE_BYTES:
                    yield Refused(inside, f"more than {MOST_FILE_BYTES // 2**20} MiB")
                elif found.startswith(_ZIP):
                    yield Refused(inside, "a ZIP in a ZIP is not looked into")
                else:
                    yield _picture(inside, found)
    except _ZIP_TROUBLE as error:
        yield Refused(name, f"the ZIP can't be read: {error}")
