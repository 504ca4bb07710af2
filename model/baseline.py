"""Trains the scikit-learn baseline: `python -m model.baseline`.

It is what the network is compared with, and shows that the stream runtime serves any
class. Saved with skops: loading it builds trusted types only, where a pickle may run code.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import sklearn
import skops.io
from sklearn.neural_network import MLPClassifier

from model import dataset
from model.artefacts import write_artefact
from model.dataset import Split
from model.loader import BASELINE, Baseline

ABSTAIN_BELOW = 0.5
_SEED = 20180412


def train(split: Split, hidden: int = 96, passes: int = 30) -> MLPClassifier:
    """Fit a perceptron with one hidden layer to pixels.

    Args:
        split: The images.
        hidden: Units of the hidden layer.
        passes: Passes over the images.

    Returns:
        A classifier from float32 (n, 784), ink from 0 to 1, to ten probabilities.
    """
    pixels = split.images.reshape(len(split.images), -1).astype(np.float32) / np.float32(255)
    perceptron = MLPClassifier((hidden,), alpha=1e-3, batch_size=256, random_state=_SEED)
    # Pass by pass, because fit() warns when it runs out of passes, as is meant here.
    order = np.random.default_rng(_SEED)
    for _ in range(passes):
        chosen = order.permutation(len(pixels))
        perceptron.partial_fit(pixels[chosen], split.labels[chosen], classes=np.arange(10))
    del perceptron._optimizer  # its moments would be two thirds of the file
    return perceptron


def main() -> int:
    """Train, save, and measure what was saved."""
    parser = argparse.ArgumentParser(prog="python -m model.baseline", description=__doc__)
    parser.add_argument("--out", type=Path, default=BASELINE, help="folder (%(default)s)")
    arguments = parser.parse_args()
    try:
        splits = {name: dataset.load_split(name) for name in ("train", "validation", "test")}
    except dataset.DatasetError as error:
        print(error, file=sys.stderr)
        return 1
    started = time.monotonic()
    content = skops.io.dumps(train(splits["train"]), compression=8)
    baseline = Baseline(content)
    accuracy = {
        name: float(np.mean(baseline.probabilities(split.images).argmax(1) == split.labels))
        for name, split in splits.items()
        if name != "train"
    }
    artefact = write_artefact(
        arguments.out,
        "model.skops",
        content,
        variant="baseline",
        abstain_below=ABSTAIN_BELOW,
        made_by={
            "made_with": {"scikit-learn": sklearn.__version__, "skops": skops.__version__},
            "data_md5": dataset.MD5,
        },
    )
    took_s = time.monotonic() - started
    print(f"{arguments.out}: {artefact.name}, accuracy {accuracy}, in {took_s:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
