"""The shipped models, exported for TensorFlow Serving and Triton with the documented command."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import dataset
from model.artefacts import FLOAT, SHIPPED, read_artefact
from model.chosen import VARIANTS
from model.loader import Answers, Classifier
from tests.model.data import needs_data
from tests.support.environments import ROOT, TRAINING_PYTHON, needs_tensorflow

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("shipped forms"),
    *needs_tensorflow,
    needs_data,
]

IMAGES = 1000

ANSWER = """
import sys
import numpy as np, tensorflow as tf
images, out, *folders = sys.argv[1:]
images = tf.constant(np.load(images)[..., None], tf.float32)
answers = [tf.saved_model.load(folder).signatures["serving_default"](images=images)
           for folder in folders]
np.savez(out, **{f"{key}{i}": each[key].numpy() for i, each in enumerate(answers) for key in each})
"""


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def images() -> Any:
    return dataset.load_split("test").images[:IMAGES]


@pytest.fixture(scope="module")
def exported(variant: str, images: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Answers]:
    """The answers of the file for TensorFlow Serving, and of Triton's."""
    made = tmp_path_factory.mktemp(variant)
    before = contents(SHIPPED / variant)
    options = ["--saved-model", str(made / "saved"), "--triton", str(made / "triton")]
    run("-m", "model.export", variant, *options)
    assert contents(SHIPPED / variant) == before
    np.save(made / "images.npy", images)
    paths = ["images.npy", "answers.npz", "saved/1", "triton/kmnist/1/model.savedmodel"]
    run("-c", ANSWER, *(str(made / path) for path in paths))
    with np.load(made / "answers.npz") as found:
        return [Answers(found[f"probabilities{i}"], found[f"outlier{i}"][:, 0]) for i in (0, 1)]


def run(*arguments: str) -> None:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [str(TRAINING_PYTHON), *arguments]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_both_files_answer_like_the_float_artefact(
    exported: list[Answers], variant: str, images: Any
) -> None:
    wanted = Classifier(read_artefact(SHIPPED / variant / FLOAT).content).answers(images)
    for found in exported:
        assert np.abs(found.probabilities - wanted.probabilities).max() < 1e-5
        assert np.abs(found.outlier - wanted.outlier).max() < 1e-5  # type: ignore[operator]


def test_both_files_give_the_labels_of_the_default_artefact(
    exported: list[Answers], variant: str, images: Any
) -> None:
    served = Classifier(read_artefact(SHIPPED / variant).content).answers(images)
    for found in exported:
        alike = found.probabilities.argmax(axis=1) == served.probabilities.argmax(axis=1)
        assert alike.mean() >= 0.995
