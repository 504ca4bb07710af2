"""Places that hold objects: a folder, or a prefix of a bucket."""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class PlaceError(Exception):
    """A place can't be used; the message says in one line why, and what to do."""


class ObjectGone(PlaceError):
    """The object is not there, or not any more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as a list has it.

    Attributes:
        name: Its path below the place, with `/` between the parts.
        size: In bytes.
    """

    name: str
    size: int


class Place(Protocol):
    """Objects by name. Several threads may use one at once."""

    @property
    def address(self) -> str:
        """What it is called, always the same for the same place, with `/` at the end."""
        ...

    def below(self, folder: str) -> Place:
        """The place of that name in this one."""
        ...

    def entries(self) -> Iterator[Entry]:
        """All objects, those in folders too, without holding them all in memory.

        Raises:
            PlaceError: They can't be listed.
        """
        ...

    def read(self, name: str) -> bytes:
        """An object's content.

        Raises:
            ObjectGone: There is none of this name.
            PlaceError: It can't be had.
        """
        ...

    def write(self, name: str, content: bytes) -> None:
        """Put an object there, whole or not at all.

        Raises:
            PlaceError: It can't be written.
        """
        ...


def open_place(address: str) -> Place:
    """The place that an address names; nothing is asked of it yet.

    Args:
        address: A folder, or `s3://bucket/prefix`, whose endpoint and credentials are in
            `AWS_ENDPOINT_URL` (or `S3_ENDPOINT`), `AWS_ACCESS_KEY_ID` and so on.

    Raises:
        PlaceError: It is neither.
    """
    if "://" not in address:
        return Folder(Path(address))
    found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", address)
    if found is None:
        raise PlaceError(f"{address} is neither a folder nor like s3://bucket/prefix")
    # Here and not above: its libraries take a quarter of a second to import.
    from storage.bucket import Bucket

    return Bucket(found[1], (found[2] or "").strip("/"))


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self.address = f"{self._path.as_posix().rstrip('/')}/"

    def below(self, folder: str) -> Folder:
        """The folder of that name in this one."""
        return Folder(self._path / folder)

    def entries(self) -> Iterator[Entry]:
        """All files, folder by folder, each in the order of names; none where there is no folder.

        Raises:
            PlaceError: A folder can't be read, or a file has a name that is not UTF-8.
        """
        if not self._path.exists():
            return
        try:
            for folder, folders, names in os.walk(self._path, onerror=_raise):
                folders.sort()
                for name in sorted(names):
                    # What was renamed or deleted since is no object any more.
                    with contextlib.suppress(FileNotFoundError):
                        yield self._entry(Path(folder, name))
        except OSError as error:
            raise PlaceError(f"cannot list {error.filename}: {error.strerror}") from error

    def _entry(self, path: Path) -> Entry:
        name = path.relative_to(self._path).as_posix()
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise PlaceError(
                f"{self.address} has {name!r}, which is no UTF-8: rename it"
            ) from error
        return Entry(name, path.stat().st_size)

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            ObjectGone: There is none of this name.
            PlaceError: It can't be read.
        """
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError as error:
            raise ObjectGone(f"{self.address}{name} is not there any more") from error
        except OSError as error:
            raise PlaceError(f"cannot read {self.address}{name}: {error.strerror}") from error

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all; its folder is made if need be.

        Raises:
            PlaceError: It can't be written.
        """
        path = self._path / name
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            raise PlaceError(f"cannot write {self.address}{name}: {error.strerror}") from error


def _raise(error: OSError) -> None:
    raise error
