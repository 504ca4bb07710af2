"""The artefacts give the same answers on every interpreter that is at hand."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model import dataset
from model.artefacts import FLOAT, SHIPPED
from model.chosen import VARIANTS
from model.loader import load_baseline, load_classifier
from tests.model.data import needs_data

ROOT = Path(__file__).resolve().parents[2]
IMAGES = np.random.default_rng(9).integers(0, 256, (20, 28, 28)).astype(np.uint8)

ASK = """
import json, sys
import numpy as np
from model.artefacts import SHIPPED, read_artefact
from model.loader import Classifier, load_baseline
kinds = {
    "tflite_runtime": lambda: __import__("tflite_runtime.interpreter").interpreter.Interpreter,
    "ai_edge_litert": lambda: __import__("ai_edge_litert.interpreter").interpreter.Interpreter,
    "tensorflow": lambda: __import__("tensorflow").lite.Interpreter,
}
images = np.array(json.load(sys.stdin), np.uint8)
if sys.argv[1] == "baseline":
    classifier = load_baseline()
else:
    content = read_artefact(SHIPPED / sys.argv[2]).content
    classifier = Classifier(content, interpreter=kinds[sys.argv[1]]())
print(json.dumps(classifier.probabilities(images).tolist()))
"""


def answers(environment: str, kind: str, model: str, images: NDArray[np.uint8] = IMAGES) -> Any:
    python = Path(sys.executable) if environment == "this" else ROOT / environment / "bin/python"
    if not python.exists():
        pytest.skip(f"there is no {environment} here")
    package = "skops" if kind == "baseline" else kind
    if subprocess.run([python, "-c", f"import {package}"], capture_output=True).returncode:
        pytest.skip(f"{environment} has no {package}")
    ran = subprocess.run(
        [python, "-c", ASK, kind, model],
        input=json.dumps(images.tolist()),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert ran.returncode == 0, ran.stderr
    return np.array(json.loads(ran.stdout.splitlines()[-1]))


# What is served where: int8 on LiteRT, float32 on tflite-runtime (`model.chosen`).
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("environment", "kind", "form"),
    [
        ("this", "ai_edge_litert", "."),
        (".venv-train", "ai_edge_litert", "."),
        (".venv-train", "tensorflow", "."),
        ("this", "ai_edge_litert", FLOAT),
        (".venv-train", "tensorflow", FLOAT),
        (".venv-3.8", "tflite_runtime", FLOAT),
    ],
)
def test_a_network_answers_alike_everywhere(
    environment: str, kind: str, form: str, variant: str
) -> None:
    expected = load_classifier(SHIPPED / variant / form).probabilities(IMAGES)
    assert np.abs(answers(environment, kind, f"{variant}/{form}") - expected).max() < 1e-5


@needs_data
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_int8_form_loads_and_reads_images_on_python_3_8_too(variant: str) -> None:
    split = dataset.load_split("test")
    found = answers(".venv-3.8", "tflite_runtime", variant, split.images[:500])
    assert np.mean(found.argmax(axis=1) == split.labels[:500]) > 0.95


@pytest.mark.parametrize("environment", ["this", ".venv-3.8"])
def test_the_baseline_answers_alike_everywhere(environment: str) -> None:
    expected = load_baseline().probabilities(IMAGES)
    assert np.abs(answers(environment, "baseline", "baseline") - expected).max() < 1e-5
