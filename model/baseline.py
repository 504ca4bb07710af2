"""Trains the scikit-learn baseline: `python -m model.baseline`.

The baseline is a support vector machine on principal components. It serves for comparison with
the networks, and shows that the stream runtime serves any class. The file is written with skops,
which loads only trusted types. A pickle could run code.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import skops.io
from numpy.typing import NDArray
from rich.console import Console
from scipy import ndimage
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC

from model import dataset
from model.artefacts import write_artefact
from model.calibration import threshold_for
from model.dataset import Split
from model.loader import BASELINE, SIDE, Baseline

RISK = 0.005
"""Maximum share of wrong answers among the answered validation images."""

_SEED = 20180412
_COMPONENTS = 50
_GAMMA, _C = 0.03, 10
_GRAIN = 32  # coordinates are rounded to steps of 1/32, which reduces the file to a quarter
_CACHE_MB = 2000


def train(split: Split) -> Pipeline:
    """Fits a support vector machine, and fits it again with virtual support vectors.

    The second fit uses the support vectors of the first and a distorted copy of each
    (Schölkopf, Burges and Vapnik 1996). The distorted copies help as much as more images would, at
    a fraction of the cost, because only images near a class boundary matter. The number of
    components and the kernel were chosen on the validation split.

    Args:
        split: images to fit to.

    Returns:
        A classifier from float (n, 784), ink from 0 to 1, to ten probabilities.
    """
    pixels = split.images.reshape(len(split.images), -1).astype(np.float32) / np.float32(255)
    components = PCA(_COMPONENTS, random_state=_SEED, svd_solver="randomized").fit(pixels)

    def coordinates(pixels: NDArray[np.float32]) -> NDArray[Any]:
        grains: NDArray[Any] = np.round(components.transform(pixels) * _GRAIN)
        return grains / _GRAIN

    machine = SVC(C=_C, gamma=_GAMMA, cache_size=_CACHE_MB, random_state=_SEED)
    near = machine.fit(coordinates(pixels), split.labels).support_
    distorted = _distort(pixels[near].reshape(-1, SIDE, SIDE)).reshape(-1, SIDE * SIDE)
    machine.set_params(probability=True)
    machine.fit(
        np.concatenate([coordinates(pixels[near]), coordinates(distorted)]),
        np.concatenate([split.labels[near]] * 2),
    )
    return make_pipeline(components, machine)


def _distort(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rotates, stretches, slants and shifts each image a little."""
    random = np.random.default_rng(_SEED)
    middle = np.full(2, (SIDE - 1) / 2)
    distorted = np.empty_like(images)
    for image, output in zip(images, distorted, strict=True):
        turn = np.deg2rad(random.uniform(-12, 12))
        down, right = np.exp(random.uniform(-0.12, 0.12, 2))
        slant = random.uniform(-0.15, 0.15)
        rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        matrix = rotation @ np.array([[down, 0], [slant, right]])
        offset = middle - matrix @ middle + random.uniform(-1.5, 1.5, 2)
        ndimage.affine_transform(image, matrix, offset, order=1, output=output)
    return distorted


def main() -> int:
    """Trains the baseline, measures its accuracy and saves it.

    Returns:
        Exit status: 0 on success, 1 on an error, 130 on Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="python -m model.baseline", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=BASELINE, help="the artefact's folder (%(default)s)"
    )
    arguments = parser.parse_args()
    try:
        _make(arguments.out)
    except (dataset.DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


def _make(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)  # a wrong path fails before the long work
    split, validation = dataset.load_split("train"), dataset.load_split("validation")
    started = time.monotonic()
    with Console(stderr=True).status("fitting support vectors, which takes a few minutes"):
        content = skops.io.dumps(train(split), compression=8)
    duration_s = time.monotonic() - started
    probabilities = Baseline(content).probabilities(validation.images)
    right = probabilities.argmax(axis=1) == validation.labels
    artefact = write_artefact(
        out,
        "model.skops",
        content,
        variant="baseline",
        abstain_below=threshold_for(RISK, probabilities.max(axis=1), right),
        made_by={
            "made_with": {"scikit-learn": sklearn.__version__, "skops": skops.__version__},
            "seconds": round(duration_s),
            "validation_accuracy": float(right.mean()),
            "data_md5": dataset.MD5,
        },
    )
    print(
        f"{out}: {artefact.name}, {artefact.size_bytes:,} bytes, validation accuracy "
        f"{right.mean():.2%}, abstains below {artefact.abstain_below:.2%}"
    )


if __name__ == "__main__":
    sys.exit(main())
