"""The samples in the repository: brush-font drawings of the ten characters."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from producer.picture import to_kmnist

SAMPLES = Path(__file__).resolve().parent / "samples"
LABELS = "labels.csv"


@dataclass(frozen=True)
class Samples:
    """The bundled samples, in the form of the classifier's input.

    Attributes:
        images: uint8 (n, 28, 28), 0 is background and 255 full ink.
        labels: uint8 (n,), indices into `model.labels.ROMAJI`.
        names: file names in `SAMPLES`.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    names: tuple[str, ...]


def load_samples() -> Samples:
    """Reads all samples and converts them to 28 x 28 pixels.

    Raises:
        OSError: the file with the labels is missing.
        producer.picture.BadPicture: a picture is missing or broken.
    """
    with (SAMPLES / LABELS).open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    names = tuple(row["file"] for row in rows)
    return Samples(
        images=np.stack([to_kmnist(SAMPLES / name) for name in names]),
        labels=np.array([int(row["label"]) for row in rows], dtype=np.uint8),
        names=names,
    )
