"""A small data set, and training on it in the environment with TensorFlow."""

import gzip
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.environments import ROOT, TRAINING_PYTHON
from tests.support.patience import patient

TRAIN_IMAGES, VALIDATION_IMAGES = 600, 200

# The MD5 sums are those of the official files, so they are not checked. The validation split is
# shorter, and every epoch writes a checkpoint, so that a test can stop after each.
_SMALL = f"""
import sys
from pathlib import Path
from model import dataset, train
dataset.MD5 = dict.fromkeys(dataset.MD5)
dataset._check = lambda name, content: None
dataset.VALIDATION = {VALIDATION_IMAGES}
train._CHECKPOINT_EVERY_S = 0

def call(module, *arguments):
    sys.argv = ["", *arguments]
    assert module.main() == 0

def write_weights(runs):
    '''Writes weights in a form that is read without TensorFlow.'''
    import keras, numpy as np
    for path in Path(runs).glob("*/model.keras"):
        weights = keras.saving.load_model(path, compile=False).get_weights()
        np.savez(path.with_name("weights.npz"), *weights)
"""
TRAIN = "sys.exit(train.main())"

RECIPES = """
teacher: &plain
  network: {stages: [{channels: 8, kernel: 5, plain: 1}, {channels: 8, residual: 1}]}
  augmentation: {rotation: 5, shift: 1, elastic: 1, mixup: 0.2, cutmix: 0.2}
  epochs: 4
  batch: 60
  learning_rate: 0.03
  precision: float32
student:
  <<: *plain
  network: {stages: [{channels: 8, kernel: 5}, {channels: 8}], hidden: 16}
  teachers: [teacher]
  distillation: 0.5
single:
  <<: *plain
  network: {stages: [{channels: 8, kernel: 5}, {channels: 8}], hidden: 16}
"""


def bars(count: int, random: np.random.Generator) -> tuple[Any, Any]:
    """Draws images of bars, uint8 (count, 28, 28), and their labels."""
    labels = (np.arange(count) % 10).astype(np.uint8)
    images = random.integers(0, 40, (count, 28, 28)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        if label < 5:
            image[3 + 5 * label : 6 + 5 * label] = 230
        else:
            image[:, 3 + 5 * (label - 5) : 6 + 5 * (label - 5)] = 230
    return images, labels


def write_data(folder: Path) -> None:
    """Writes a data set of bars at ten positions, which a network learns in seconds."""
    random = np.random.default_rng(2)
    for part, count in (("train", TRAIN_IMAGES + VALIDATION_IMAGES), ("t10k", 100)):
        images, labels = bars(count, random)
        _write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        _write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)


def start(
    program: str, *arguments: str | Path, data: Path, **environment: str
) -> "subprocess.Popen[str]":
    """Starts a program with the names above and the small data set."""
    return subprocess.Popen(
        [TRAINING_PYTHON, "-c", _SMALL + program, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "KMNIST_DATA": str(data), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Waits for a program; returns exit status, standard output and standard error."""
    with process:
        try:
            output, errors = process.communicate(timeout=patient(110))
        finally:
            process.kill()
    return process.returncode, output, errors


def _write_idx(path: Path, array: Any) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes(), 1))
