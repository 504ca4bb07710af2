"""The classes on the Python of Seldon's builder image."""

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.artefacts import FLOAT, SHIPPED, read_artefact
from model.chosen import VARIANTS
from tests.support.environments import PYTHON38, ROOT, needs_python38
from wrapper import KmnistBaseline, KmnistClassifier, KmnistExplainer, KmnistOutlierDetector

SCRIPT = """
import json, sys
from seldon_core.metrics import SeldonMetrics
from seldon_core.seldon_methods import predict
import wrapper
request = json.load(sys.stdin)
instance = getattr(wrapper, request["class"])()
instance.load()
answers = []
for message in request["messages"]:
    try:
        answers.append(predict(instance, message, SeldonMetrics(lambda: 1)))
    except wrapper.BadPayload as refusal:
        answers.append([refusal.reason, str(refusal)])
print(json.dumps(answers))
"""


pytestmark = needs_python38


FORM = SHIPPED / VARIANTS[0] / FLOAT  # the faster one on Python 3.8


@pytest.fixture(autouse=True)
def model_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_URI", str(FORM))


def test_the_default_model_is_the_form_that_is_faster_on_python_3_8(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MODEL_URI")
    code = "import wrapper; print(wrapper.KmnistClassifier().health_status())"
    ran = subprocess.run([PYTHON38, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == str([read_artefact(FORM).name])


@pytest.mark.parametrize("kind", [KmnistClassifier, KmnistBaseline])
def test_answers_and_refusals_are_the_same_on_python_3_8(kind: type) -> None:
    image = np.random.default_rng(8).integers(0, 256, (28, 28)).astype(np.uint8)
    png = io.BytesIO()
    Image.fromarray(image).save(png, "PNG")
    messages = [
        {"data": {"ndarray": [image.tolist()]}},
        {"binData": base64.b64encode(png.getvalue()).decode()},
        {"instances": [image.tolist()]},
        {"binData": base64.b64encode(png.getvalue()[:100]).decode()},
        {"data": {"ndarray": [[0] * 756]}},
    ]
    ran = subprocess.run(
        [PYTHON38, "-c", SCRIPT],
        input=json.dumps({"class": kind.__name__, "messages": messages}),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=dict(os.environ),
    )
    assert ran.returncode == 0, ran.stderr
    rows, picture, instances, truncated, narrow = json.loads(ran.stdout.splitlines()[-1])
    expected = kind().predict(image)
    for values in (
        rows["data"]["ndarray"],
        [picture["data"]["tensor"]["values"]],
        instances["predictions"],
    ):
        assert np.abs(np.array(values) - expected.data).max() < 1e-5
    assert rows["meta"]["tags"]["label"] == expected.tags["label"]
    assert truncated[0] == "bad_image"
    assert narrow == ["bad_shape", "expected 784 values for each image, got 756"]


def test_an_explanation_is_the_same_on_python_3_8(tmp_path: Path) -> None:
    image = np.random.default_rng(8).integers(0, 256, (28, 28)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "picture.png")
    results = []
    for python in (PYTHON38, Path(sys.executable)):
        picture, out = str(tmp_path / "picture.png"), str(tmp_path / "out.png")
        command = [str(python), "-m", "wrapper.explain", picture, "--out", out]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert ran.returncode == 0, ran.stderr
        with Image.open(out) as drawn:
            results.append((ran.stdout, drawn.size))
    assert results[0] == results[1]


@pytest.mark.parametrize("kind", [KmnistExplainer, KmnistOutlierDetector])
def test_the_classes_for_graphs_run_on_python_3_8(kind: type) -> None:
    code = f"import wrapper; print(wrapper.{kind.__name__}().health_status())"
    ran = subprocess.run([PYTHON38, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == str(kind().health_status())
