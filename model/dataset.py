"""Reads the KMNIST data set from a folder, or downloads it from its official site.

"KMNIST Dataset" (created by CODH), adapted from "Kuzushiji Dataset" (created by NIJL
and others), doi:10.20676/00000341, CC BY-SA 4.0. File names and MD5 sums are those of
http://codh.rois.ac.jp/kmnist/.
"""

import contextlib
import gzip
import hashlib
import os
import struct
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

SITE = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"
MD5 = {
    "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
    "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
    "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
    "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
}
CACHE = Path(__file__).resolve().parent.parent / ".cache" / "kmnist"
VALIDATION = 10_000
"""Number of images of the validation split, which are the last ones of the training file."""

SplitName = Literal["train", "validation", "test"]
_READ_TIMEOUT_S = 20.0
_CHUNK = 1 << 16


class DatasetError(Exception):
    """The data set is not available; the message is one line with the remedy."""


@dataclass(frozen=True)
class Split:
    """Images with their labels.

    Attributes:
        images: uint8 (n, 28, 28), 0 is background and 255 full ink.
        labels: uint8 (n,), indices into `model.labels.ROMAJI`.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def load_split(name: SplitName) -> Split:
    """Reads one split, and downloads missing files first.

    Args:
        name: "train" (the first 50,000 training images), "validation" (the other
            10,000) or "test" (the official 10,000 test images).

    Returns:
        The split, in the order of the official files.

    Raises:
        DatasetError: a file is missing and cannot be downloaded, or is not the official one.
    """
    images, labels = (_read_idx(path) for path in fetch(name))
    if name == "train":
        images, labels = images[:-VALIDATION], labels[:-VALIDATION]
    elif name == "validation":
        images, labels = images[-VALIDATION:], labels[-VALIDATION:]
    return Split(images, labels)


def available(timeout: float) -> bool:
    """Downloads the test split if necessary, and returns whether it is on this machine in time.

    Args:
        timeout: time limit of the download in seconds.
    """

    def attempt() -> None:
        with contextlib.suppress(DatasetError):
            fetch("test", timeout=timeout)

    # A thread bounds the time, because the DNS look-up of the site has no time limit.
    download = threading.Thread(target=attempt, daemon=True)
    download.start()
    download.join(timeout)
    return cached("test")


def cached(name: SplitName) -> bool:
    """Returns whether the files of a split are on this machine."""
    return all(path.is_file() for path in _paths(name))


def fetch(name: SplitName, timeout: float | None = None) -> tuple[Path, Path]:
    """Downloads the files of a split that are not on this machine.

    Args:
        name: name of the split.
        timeout: time limit of all downloads together, in seconds; None waits as long as data
            arrives.

    Returns:
        The paths of the images and of the labels.

    Raises:
        DatasetError: a file is missing and cannot be downloaded.
    """
    paths = _paths(name)
    missing = [path for path in paths if not path.is_file()]
    if missing and os.environ.get("KMNIST_DATA"):
        raise DatasetError(
            f"{missing[0]} is missing: put the four official files there, or unset KMNIST_DATA "
            f"to download them from {SITE}"
        )
    if not missing:
        return paths
    deadline = None if timeout is None else time.monotonic() + timeout
    with _progress() as progress:
        for path in missing:
            try:
                _download(path, progress, deadline)
            except (OSError, HTTPException) as error:
                raise DatasetError(
                    f"cannot download {SITE}{path.name} ({error}): try again later, or set "
                    "KMNIST_DATA to a folder that has the four official files"
                ) from error
    return paths


def _paths(name: SplitName) -> tuple[Path, Path]:
    folder = Path(os.environ.get("KMNIST_DATA") or CACHE)
    part = "t10k" if name == "test" else "train"
    return folder / f"{part}-images-idx3-ubyte.gz", folder / f"{part}-labels-idx1-ubyte.gz"


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    screen = Console(stderr=True)  # stdout may be a pipe that carries data
    with Progress(*columns, TransferSpeedColumn(), console=screen, transient=True) as progress:
        yield progress


def _download(path: Path, progress: Progress, deadline: float | None) -> None:
    """Downloads one file; only a complete and correct file gets its final name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    limit = _READ_TIMEOUT_S if deadline is None else max(0.1, deadline - time.monotonic())
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with (
            os.fdopen(handle, "wb") as sink,
            urllib.request.urlopen(SITE + path.name, timeout=min(limit, _READ_TIMEOUT_S)) as source,  # noqa: S310
        ):
            total = int(source.headers.get("Content-Length") or 0) or None
            task = progress.add_task(path.name, total=total)
            while block := source.read1(_CHUNK):
                if deadline is not None and time.monotonic() > deadline:
                    raise TimeoutError("the download took too long")
                sink.write(block)
                progress.advance(task, len(block))
        _check(path.name, Path(partial).read_bytes())
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)


def _check(name: str, content: bytes) -> None:
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != MD5[name]:
        raise OSError(f"its MD5 is {digest}, the official one is {MD5[name]}")


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """Parses an IDX file: 0, 0, type 8 (uint8), the number of axes, their sizes, the values."""
    content = path.read_bytes()
    try:
        _check(path.name, content)
    except OSError as error:
        raise DatasetError(f"{path} is not the official file ({error}): delete it") from error
    raw = gzip.decompress(content)
    axes = raw[3]
    shape = struct.unpack_from(f">{axes}I", raw, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def main() -> int:
    """Downloads all four files and prints their paths.

    Returns:
        Exit status: 0 on success, 1 on an error, 130 on Ctrl-C.
    """
    try:
        for name in ("train", "test"):
            for path in fetch(name):
                _check(path.name, path.read_bytes())
                print(f"{path}  {path.stat().st_size:,} bytes, MD5 as published")
    except (DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; complete files are kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
