"""Pictures that people have put right, for training: what `python -m consumer.feedback` writes."""

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from model.dataset import Split
from model.labels import CLASSES

MOST = 500_000
"""Images that a file may hold: ten times the training split."""

_SIDE = 28
# Beyond the pixels and labels, for what a .npz file says of itself.
_MOST_BYTES = MOST * (_SIDE * _SIDE + 1) + 64 * 1024
_EXPECTED = "expected a .npz file with images uint8 (n, 28, 28) and labels uint8 (n,), from 0 to 9"
_FORMAT: Any = np.lib.format
# What zipfile and numpy raise for bytes that go wrong somewhere inside of a file.
_BROKEN = (
    *(ValueError, KeyError, EOFError, OSError, NotImplementedError, RuntimeError, SyntaxError),
    *(TypeError, MemoryError, zipfile.BadZipFile, zlib.error, TokenError, struct.error),
)


class FeedbackError(Exception):
    """A file that can't be trained on; the message says what is wrong with it."""


@dataclass(frozen=True)
class Feedback:
    """What one file holds.

    Attributes:
        split: Its images with their labels.
        sha256: Of the file's bytes.
    """

    split: Split
    sha256: str

    def facts(self) -> dict[str, Any]:
        """What a run says of it."""
        return {"sha256": self.sha256, "images": len(self.split.labels)}


def load_feedback(path: Path) -> Feedback:
    """Read a file of corrections.

    Args:
        path: A .npz file with `images` uint8 (n, 28, 28) and `labels` uint8 (n,).

    Raises:
        FeedbackError: It can't be read, or holds something else or too much. That is told by
            its size, and by what its arrays say of themselves, before memory is taken for them.
    """
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise FeedbackError(f"{path} has {size:,} bytes; {MOST:,} images are the most")
        content = path.read_bytes()
    except OSError as error:
        raise FeedbackError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        _check(content)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            split = Split(arrays["images"], arrays["labels"])
    except FeedbackError as error:
        raise FeedbackError(f"{path}: {error}") from error
    except _BROKEN as error:
        raise FeedbackError(f"{path} can't be read: {_EXPECTED}") from error
    if split.labels.max() >= CLASSES:
        raise FeedbackError(f"{path}: a label is {split.labels.max()}; {_EXPECTED}")
    return Feedback(split, hashlib.sha256(content).hexdigest())


def without(feedback: Feedback, held_out: Iterable[Split]) -> Feedback:
    """A file's images but for those that progress and results are measured on.

    A demonstration feeds the test images; what people say of them must not be trained on.

    Args:
        feedback: What a file holds.
        held_out: Splits whose images, pixel for pixel, are left out.

    Raises:
        FeedbackError: None is left.
    """
    known = {image.tobytes() for split in held_out for image in split.images}
    kept = [image.tobytes() not in known for image in feedback.split.images]
    if not any(kept):
        raise FeedbackError("all images of the feedback are of the validation or the test split")
    chosen = np.flatnonzero(kept)
    split = Split(feedback.split.images[chosen], feedback.split.labels[chosen])
    return Feedback(split, feedback.sha256)


def with_feedback(split: Split, feedback: Iterable[Feedback]) -> Split:
    """A split with the images of files behind its own."""
    every = [split, *(each.split for each in feedback)]
    return Split(
        np.concatenate([each.images for each in every]),
        np.concatenate([each.labels for each in every]),
    )


def _check(content: bytes) -> None:
    """Look at what the arrays are, without reading them.

    Raises:
        FeedbackError: They are not what is expected.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # Others too could be what numpy takes for one of the arrays.
        if sorted(archive.namelist()) != ["images.npy", "labels.npy"]:
            raise FeedbackError(_EXPECTED)
        with archive.open("images.npy") as images, archive.open("labels.npy") as labels:
            shape, label_shape = _shape(images), _shape(labels)
    if shape[1:] != (_SIDE, _SIDE) or label_shape != shape[:1]:
        raise FeedbackError(f"images {shape} and labels {label_shape}; {_EXPECTED}")
    if not 0 < shape[0] <= MOST:
        raise FeedbackError(f"it holds {shape[0]:,} images; from 1 to {MOST:,} can be taken")


def _shape(member: IO[bytes]) -> tuple[int, ...]:
    """The shape that an array of bytes says that it has."""
    version = _FORMAT.read_magic(member)
    read = _FORMAT.read_array_header_1_0 if version == (1, 0) else _FORMAT.read_array_header_2_0
    shape, _, dtype = read(member)
    if dtype != np.uint8:
        raise FeedbackError(f"an array is of {dtype}; {_EXPECTED}")
    return tuple(shape)
