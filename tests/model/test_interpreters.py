"""The artefacts give the same answers on every installed interpreter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model import dataset
from model.artefacts import FLOAT, SHIPPED
from model.chosen import VARIANTS
from model.loader import load_baseline, load_classifier
from tests.model.data import needs_data
from tests.support.environments import PYTHON38, ROOT, TRAINING_PYTHON

IMAGES = np.random.default_rng(9).integers(0, 256, (20, 28, 28)).astype(np.uint8)
FORMS = [*VARIANTS, *(f"{variant}/{FLOAT}" for variant in VARIANTS)]
PYTHONS = {"this": Path(sys.executable), "3.8": PYTHON38, "training": TRAINING_PYTHON}

ASK = """
import importlib, json, sys
import numpy as np
from model.artefacts import SHIPPED, read_artefact
from model.loader import Classifier, load_baseline
package, *models = sys.argv[1:]
try:
    module = importlib.import_module(package)
except ModuleNotFoundError:
    sys.exit(77)
kinds = {"tensorflow": lambda: module.lite.Interpreter, "sklearn": lambda: None}
kind = kinds.get(package, lambda: importlib.import_module(f"{package}.interpreter").Interpreter)()
images = np.array(json.load(sys.stdin), np.uint8)
for model in models:
    if model == "baseline":
        classifier = load_baseline()
    else:
        classifier = Classifier(read_artefact(SHIPPED / model).content, interpreter=kind)
    print(json.dumps(classifier.probabilities(images).tolist()))
"""


def answers(
    python: str, package: str, *models: str, images: NDArray[np.uint8] = IMAGES
) -> list[NDArray[np.float64]]:
    """Returns the answers of each model on another Python or interpreter."""
    if not PYTHONS[python].exists():
        pytest.skip(f"there is no {PYTHONS[python]}")
    ran = subprocess.run(
        [PYTHONS[python], "-c", ASK, package, *models],
        input=json.dumps(images.tolist()),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if ran.returncode == 77:
        pytest.skip(f"{PYTHONS[python]} has no {package}")
    assert ran.returncode == 0, ran.stderr
    return [np.array(json.loads(line)) for line in ran.stdout.splitlines()[-len(models) :]]


# int8 is served on LiteRT, float32 on tflite-runtime (`model.chosen`).
@pytest.mark.parametrize(
    ("python", "package", "models"),
    [
        ("this", "ai_edge_litert", FORMS),
        # These interpreters serve nothing.
        pytest.param("training", "ai_edge_litert", FORMS, marks=pytest.mark.full),
        pytest.param("training", "tensorflow", FORMS, marks=pytest.mark.full),
        ("3.8", "tflite_runtime", [form for form in FORMS if form.endswith(FLOAT)]),
        ("this", "sklearn", ["baseline"]),
        ("3.8", "sklearn", ["baseline"]),
    ],
)
def test_a_model_gives_the_same_answers_on_every_interpreter(
    python: str, package: str, models: list[str]
) -> None:
    found = answers(python, package, *models)
    for name, given in zip(models, found, strict=True):
        load = load_baseline if name == "baseline" else load_classifier
        expected = load(SHIPPED / name).probabilities(IMAGES)
        assert np.abs(given - expected).max() < 1e-5, name


@needs_data
def test_the_int8_form_classifies_images_on_python_3_8_too() -> None:
    split = dataset.load_split("test")
    for found in answers("3.8", "tflite_runtime", *VARIANTS, images=split.images[:500]):
        assert np.mean(found.argmax(axis=1) == split.labels[:500]) > 0.95
