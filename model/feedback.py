"""Reads corrected images for training, as `python -m consumer.feedback` writes them."""

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

MAX_IMAGES = 500_000
"""Maximum number of images in a file: ten times the training split."""

_SIDE = 28
# 64 KiB are for the headers of a .npz file.
_MAX_BYTES = MAX_IMAGES * (_SIDE * _SIDE + 1) + 64 * 1024
_EXPECTED = "expected a .npz file with images uint8 (n, 28, 28) and labels uint8 (n,), from 0 to 9"
_FORMAT: Any = np.lib.format
# Exceptions of zipfile and numpy for a file with broken bytes.
_BROKEN = (
    *(ValueError, KeyError, EOFError, OSError, NotImplementedError, RuntimeError, SyntaxError),
    *(TypeError, MemoryError, zipfile.BadZipFile, zlib.error, TokenError, struct.error),
)


class FeedbackError(Exception):
    """A file cannot be trained on; the message says why."""


@dataclass(frozen=True)
class Feedback:
    """The corrections of one file.

    Attributes:
        split: images with their corrected labels.
        sha256: SHA-256 of the file, in hex.
    """

    split: Split
    sha256: str

    def facts(self) -> dict[str, Any]:
        """Returns the checksum and the number of images, for the `run.json` of a run."""
        return {"sha256": self.sha256, "images": len(self.split.labels)}


def load_feedback(path: Path) -> Feedback:
    """Reads a file of corrections.

    Args:
        path: a .npz file with `images` uint8 (n, 28, 28) and `labels` uint8 (n,).

    Raises:
        FeedbackError: the file cannot be read, is too large, or has other content. The sizes
            of the file and of its arrays are checked before memory is allocated.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise FeedbackError(f"{path} has {size:,} bytes; the limit is {MAX_IMAGES:,} images")
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
        raise FeedbackError(f"{path} cannot be read: {_EXPECTED}") from error
    if split.labels.max() >= CLASSES:
        raise FeedbackError(f"{path}: a label is {split.labels.max()}; {_EXPECTED}")
    return Feedback(split, hashlib.sha256(content).hexdigest())


def without_held_out(feedback: Feedback, held_out: Iterable[Split]) -> Feedback:
    """Returns a file's corrections without the images of the validation and test splits.

    A demonstration sends the test images. A network must not be trained on their corrections.

    Args:
        feedback: the corrections.
        held_out: splits whose images are left out; images are compared pixel by pixel.

    Raises:
        FeedbackError: no image is left.
    """
    known = {image.tobytes() for split in held_out for image in split.images}
    kept = [image.tobytes() not in known for image in feedback.split.images]
    if not any(kept):
        raise FeedbackError("all feedback images belong to the validation or test split")
    chosen = np.flatnonzero(kept)
    split = Split(feedback.split.images[chosen], feedback.split.labels[chosen])
    return Feedback(split, feedback.sha256)


def with_feedback(split: Split, feedback: Iterable[Feedback]) -> Split:
    """Returns a split with the images and labels of correction files appended."""
    parts = [split, *(each.split for each in feedback)]
    return Split(
        np.concatenate([each.images for each in parts]),
        np.concatenate([each.labels for each in parts]),
    )


def _check(content: bytes) -> None:
    """Checks the headers of the arrays without reading the arrays.

    Raises:
        FeedbackError: the arrays are not the expected ones.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # numpy might read a member with another name as one of the arrays.
        if sorted(archive.namelist()) != ["images.npy", "labels.npy"]:
            raise FeedbackError(_EXPECTED)
        with archive.open("images.npy") as images, archive.open("labels.npy") as labels:
            shape, label_shape = _shape(images), _shape(labels)
    if shape[1:] != (_SIDE, _SIDE) or label_shape != shape[:1]:
        raise FeedbackError(f"images {shape} and labels {label_shape}; {_EXPECTED}")
    if not 0 < shape[0] <= MAX_IMAGES:
        raise FeedbackError(f"the file has {shape[0]:,} images; the limit is 1 to {MAX_IMAGES:,}")


def _shape(member: IO[bytes]) -> tuple[int, ...]:
    """Returns the shape in the header of a .npy file."""
    version = _FORMAT.read_magic(member)
    read = _FORMAT.read_array_header_1_0 if version == (1, 0) else _FORMAT.read_array_header_2_0
    shape, _, dtype = read(member)
    if dtype != np.uint8:
        raise FeedbackError(f"an array is of {dtype}; {_EXPECTED}")
    return tuple(shape)
