"""The artefacts give the same answers on every interpreter that is at hand."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.artefacts import SHIPPED, read_artefact
from model.chosen import VARIANTS
from model.loader import Classifier, load_baseline, load_classifier

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = [variant for variant in VARIANTS if (SHIPPED / variant).is_dir()]
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


def answers(environment: str, kind: str, variant: str) -> Any:
    python = Path(sys.executable) if environment == "this" else ROOT / environment / "bin/python"
    if not python.exists():
        pytest.skip(f"there is no {environment} here")
    package = "skops" if kind == "baseline" else kind
    if subprocess.run([python, "-c", f"import {package}"], capture_output=True).returncode:
        pytest.skip(f"{environment} has no {package}")
    ran = subprocess.run(
        [python, "-c", ASK, kind, variant],
        input=json.dumps(IMAGES.tolist()),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert ran.returncode == 0, ran.stderr
    return np.array(json.loads(ran.stdout.splitlines()[-1]))


@pytest.mark.parametrize("variant", NETWORKS)
@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ("this", "ai_edge_litert"),
        (".venv-3.8", "tflite_runtime"),
        (".venv-train", "ai_edge_litert"),
        (".venv-train", "tensorflow"),
    ],
)
def test_a_network_answers_alike_everywhere(environment: str, kind: str, variant: str) -> None:
    expected = load_classifier(SHIPPED / variant).probabilities(IMAGES)
    assert np.abs(answers(environment, kind, variant) - expected).max() < 1e-5


@pytest.mark.parametrize("variant", NETWORKS)
def test_a_network_answers_alike_with_either_way_of_rounding(variant: str) -> None:
    # Without its delegate LiteRT rounds as tflite-runtime 2.14 does: see model/exact.py.
    package = pytest.importorskip("ai_edge_litert.interpreter")
    twice = functools.partial(
        package.Interpreter,
        experimental_op_resolver_type=package.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    content = read_artefact(SHIPPED / variant).content
    found = Classifier(content, interpreter=twice).probabilities(IMAGES)
    assert np.abs(found - Classifier(content).probabilities(IMAGES)).max() < 1e-5


@pytest.mark.parametrize("environment", ["this", ".venv-3.8"])
def test_the_baseline_answers_alike_everywhere(environment: str) -> None:
    expected = load_baseline().probabilities(IMAGES)
    assert np.abs(answers(environment, "baseline", "baseline") - expected).max() < 1e-5
