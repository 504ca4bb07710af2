"""Sources of images: the data set, picture files, the bundled samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.dataset import SplitName, available, load_split
from model.labels import ROMAJI
from producer.bundled_samples import load_samples
from producer.picture import BadPicture, to_kmnist

_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
_DATASET_TIMEOUT_S = 5.0


class SourceError(Exception):
    """A path does not exist, or there is no image to send; the message says why."""


@dataclass(frozen=True)
class Source:
    """Images, and their true labels if known.

    Attributes:
        name: description of the images for the user.
        images: uint8 (n, 28, 28).
        truth: the romaji name of each image's character, or None.
        skipped: reasons why pictures were skipped.
    """

    name: str
    images: NDArray[np.uint8]
    truth: tuple[str, ...] | None = None
    skipped: tuple[str, ...] = field(default=())


def split_source(name: SplitName) -> Source:
    """Returns a split of the data set, and downloads it if necessary.

    Raises:
        model.dataset.DatasetError: the data set is not available.
    """
    split = load_split(name)
    return Source(f"{name} images of the data set", split.images, _names(split.labels))


def sample_source() -> Source:
    """Returns the bundled samples."""
    samples = load_samples()
    return Source("bundled samples", samples.images, _names(samples.labels))


def best_source() -> Source:
    """Returns the data set's test images if they are available within 5 s, else the samples."""
    return split_source("test") if available(_DATASET_TIMEOUT_S) else sample_source()


def file_source(paths: Sequence[Path]) -> Source:
    """Reads picture files; for a folder, all pictures below it, in the order of their paths.

    Pictures that can't be read are skipped.

    Raises:
        SourceError: a path does not exist, or no picture can be read.
    """
    images: list[NDArray[np.uint8]] = []
    skipped: list[str] = []
    for path in _files(paths):
        try:
            images.append(to_kmnist(path))
        except (BadPicture, OSError) as error:
            skipped.append(f"{path}: {error}")
    if not images:
        reasons = "; ".join(skipped[:3]) or "there is no picture in " + ", ".join(map(str, paths))
        raise SourceError(f"nothing to send: {reasons}")
    return Source(f"{len(images)} picture(s)", np.stack(images), skipped=tuple(skipped))


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*"))
            yield from (each for each in inside if each.suffix.lower() in _PICTURES)
        elif path.exists():
            yield path
        else:
            raise SourceError(f"there is no file or folder {path}")


def _names(labels: NDArray[np.uint8]) -> tuple[str, ...]:
    return tuple(ROMAJI[label] for label in labels)
