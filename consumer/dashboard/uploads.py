"""Reads the pictures in uploaded files, with limits of size and number."""

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
"""Limit of the number of files in a ZIP."""

_ZIP = b"PK\x03\x04"
_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, OSError,
    EOFError, ValueError,
)  # fmt: skip
_NAME_CHARACTERS = 200


@dataclass(frozen=True)
class Picture:
    """A picture, converted for the classifier.

    Attributes:
        name: name of the file.
        image: uint8 (28, 28); 0 is background and 255 full ink.
        content: content of the file.
    """

    name: str
    image: NDArray[np.uint8]
    content: bytes


@dataclass(frozen=True)
class RefusedFile:
    """A file that is not sent.

    Attributes:
        name: name of the file.
        why: reason, in one line.
    """

    name: str
    why: str


def pictures(name: str, content: bytes) -> Iterator[Picture | RefusedFile]:
    """Yields the picture of a file, or the pictures in a ZIP; a bad file yields a `RefusedFile`.

    Args:
        name: name of the file, as the browser sent it.
        content: content of the file. A picture, also one in a ZIP, may have up to `MOST_FILE_BYTES`
            bytes. The unpacked files of a ZIP may have up to `MOST_ZIP_BYTES` bytes in all.
    """
    name = shortened(name)
    if len(content) > MOST_FILE_BYTES and not content.startswith(_ZIP):
        yield RefusedFile(name, f"more than {MOST_FILE_BYTES // 2**20} MiB")
    elif content.startswith(_ZIP):
        yield from _pictures_in_zip(name, content)
    else:
        yield _picture(name, content)


def shortened(name: str) -> str:
    """Returns the name of a file as one printable line of limited length."""
    printable = "".join(char if char.isprintable() else "�" for char in name)
    if len(printable) > _NAME_CHARACTERS:
        return printable[:_NAME_CHARACTERS] + "…"
    return printable or "(no name)"


def _picture(name: str, content: bytes) -> Picture | RefusedFile:
    try:
        return Picture(name, to_kmnist(content), content)
    except BadPicture as error:
        return RefusedFile(name, str(error))
    except Exception as error:
        # Pillow's decoders raise exceptions of many types for broken files.
        return RefusedFile(name, f"can't be read as a picture: {type(error).__name__}")


def _pictures_in_zip(name: str, content: bytes) -> Iterator[Picture | RefusedFile]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [each for each in archive.infolist() if not each.is_dir()]
            if len(entries) > MOST_ZIP_ENTRIES:
                yield RefusedFile(name, f"more than {MOST_ZIP_ENTRIES:,} files in it")
                return
            left = MOST_ZIP_BYTES
            for entry in entries:
                inside = f"{name}/{shortened(entry.filename)}"
                if entry.flag_bits & 1:
                    yield RefusedFile(inside, "it is encrypted")
                    continue
                # The size in an entry's header may be wrong, so reading itself has a limit.
                with archive.open(entry) as file:
                    found = file.read(min(MOST_FILE_BYTES, left) + 1)
                left -= len(found)
                if left < 0:
                    yield RefusedFile(name, f"more than {MOST_ZIP_BYTES // 2**20} MiB in it")
                    return
                if len(found) > MOST_FILE_BYTES:
                    yield RefusedFile(inside, f"more than {MOST_FILE_BYTES // 2**20} MiB")
                elif found.startswith(_ZIP):
                    yield RefusedFile(inside, "a ZIP in a ZIP is not read")
                else:
                    yield _picture(inside, found)
    except _ZIP_ERRORS as error:
        yield RefusedFile(name, f"the ZIP can't be read: {error}")
