"""Training, conversion and measuring, on a handful of images."""

import gzip
import json
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.artefacts import read_artefact
from model.dataset import Split
from model.evaluate import images_per_second, quality
from model.export import fit_temperature
from model.loader import load_classifier

ROOT = Path(__file__).resolve().parents[2]
TRAINING_PYTHON = ROOT / ".venv-train" / "bin" / "python"

# Bars at ten places stand for ten characters: a network learns them in seconds. The sums
# of the official files can't fit them, and the validation split is cut to 200 images. So
# few steps leave batch normalisation with its initial statistics unless it forgets faster.
DRILL = """
import sys
from pathlib import Path
from model import dataset
dataset.MD5 = dict.fromkeys(dataset.MD5)
dataset._check = lambda name, content: None
dataset.VALIDATION = 200
import functools, keras
slow = keras.layers.BatchNormalization
keras.layers.BatchNormalization = functools.partial(slow, momentum=0.8)
from model import evaluate, export, train
run, out = Path(sys.argv[1]) / "run.keras", Path(sys.argv[1]) / "network"
sys.argv[1:] = ["--epochs", "4", "--out", str(run)]
assert train.main() == 0
sys.argv[1:] = ["--run", str(run), "--out", str(out)]
assert export.main() == 0
sys.argv[1:] = ["--model", str(out), "--write"]
assert evaluate.main() == 0
"""


def bars(count: int, random: Any) -> tuple[Any, Any]:
    labels = (np.arange(count) % 10).astype(np.uint8)
    images = random.integers(0, 40, (count, 28, 28)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        if label < 5:
            image[3 + 5 * label : 6 + 5 * label] = 230
        else:
            image[:, 3 + 5 * (label - 5) : 6 + 5 * (label - 5)] = 230
    return images, labels


def write_idx(path: Path, array: Any) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes(), 1))


@pytest.mark.skipif(not TRAINING_PYTHON.exists(), reason="there is no .venv-train here")
def test_a_network_is_trained_converted_and_measured(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    for part, count in (("train", 4200), ("t10k", 100)):
        images, labels = bars(count, random)
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", labels)
    ran = subprocess.run(
        [TRAINING_PYTHON, "-c", DRILL, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "KMNIST_DATA": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    artefact = read_artefact(tmp_path / "network")
    figures = json.loads((tmp_path / "network" / "figures.json").read_text())
    assert figures["validation"]["accuracy"] > 0.8
    assert figures["name"] == artefact.name
    assert artefact.made_by["run"]["settings"]["epochs"] == 4


def test_the_temperature_undoes_a_scaling_of_the_logits() -> None:
    random = np.random.default_rng(4)
    logits = random.normal(0, 2, (20_000, 10))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (chances.cumsum(axis=1) > random.random((20_000, 1))).argmax(axis=1)
    assert fit_temperature(logits * 3, labels) == pytest.approx(3, rel=0.05)
    assert fit_temperature(logits / 2, labels) == pytest.approx(0.5, rel=0.05)


def test_quality_counts_what_is_right_and_what_is_unsure() -> None:
    answers = np.zeros((4, 10), np.float32)
    answers[[0, 1, 2], [0, 1, 2]] = 0.9
    answers[3, 5] = 0.4

    class Fixed:
        def probabilities(self, images: Any) -> Any:
            return answers

    labels = np.array([0, 1, 3, 5], np.uint8)
    found = quality(Fixed(), Split(np.zeros((4, 28, 28), np.uint8), labels))  # type: ignore[arg-type]
    assert found["accuracy"] == 0.75
    assert found["abstained"] == 0.25
    assert found["accuracy_of_the_rest"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["calibration_error"] == pytest.approx((3 * 0.9 - 2 + 1 - 0.4) / 4, abs=1e-4)


def test_speed_is_positive() -> None:
    assert images_per_second(load_classifier(), np.zeros((8, 28, 28), np.uint8)) > 0
