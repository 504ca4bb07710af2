"""Integrated gradients, in the environment that has TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from model.artefacts import SHIPPED, write_artefact
from producer.bundled_samples import load_samples
from tests.support.environments import ROOT, TRAINING_PYTHON, needs_tensorflow

IMAGE = load_samples().images[3]

pytestmark = [*needs_tensorflow, pytest.mark.xdist_group("gradients")]

# Compares, for a network with random weights, the sum of the attributions with the difference that
# they explain, and prints the attribution of blank pixels.
SCRIPT = """
import json, sys
import keras, numpy as np
from pathlib import Path
from model.config import load_recipes
from model.gradients import integrated_gradients, load_network, log_odds
from model.networks import build

keras.utils.set_random_seed(7)
image = np.array(json.load(sys.stdin), np.uint8)
network = build(load_recipes()["fast"].network)
network.save(Path(sys.argv[1]) / "model.keras")
network = load_network(Path(sys.argv[1]))
both = np.stack([image, np.zeros_like(image)])[..., None].astype(np.float32) / 255
found = []
for target, temperature in ((0, 1.0), (9, 0.5)):
    heat = integrated_gradients(network, image, target, temperature)
    full, blank = log_odds(network, both, target, temperature).numpy().tolist()
    found.append({
        "shape": heat.shape, "dtype": heat.dtype.name, "sum": float(heat.sum()),
        "difference": full - blank, "on_blank": float(np.abs(heat[image == 0]).max()),
    })
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("network")


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    ran = start("-c", SCRIPT, str(folder), text=json.dumps(IMAGE.tolist()))
    assert ran.returncode == 0, ran.stderr
    return list(json.loads(ran.stdout.splitlines()[-1]))


def start(*arguments: str, text: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TRAINING_PYTHON, *arguments],
        input=text,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environ},
        capture_output=True,
        text=True,
    )


def test_attributions_add_up_to_the_difference_between_the_image_and_a_blank_one(
    found: list[dict[str, Any]],
) -> None:
    for each in found:
        assert (each["shape"], each["dtype"]) == ([28, 28], "float32")
        assert abs(each["difference"]) > 0.01
        assert each["sum"] == pytest.approx(each["difference"], rel=0.03)


def test_blank_pixels_have_no_attribution(found: list[dict[str, Any]]) -> None:
    assert [each["on_blank"] for each in found] == [0, 0]


@pytest.mark.full
def test_the_command_uses_the_network_in_the_folder_of_the_model(
    found: list[dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    content = (SHIPPED / "fast" / "model.tflite").read_bytes()
    write_artefact(folder, "model.tflite", content, variant="own", abstain_below=0.5, made_by={})
    Image.fromarray(IMAGE).save(tmp_path / "picture.png")
    command = ["-m", "wrapper.explain", str(tmp_path / "picture.png"), "--method", "gradients"]
    ran = start(*command, "--out", str(tmp_path / "out.png"), MODEL_URI=str(folder))
    assert ran.returncode == 0, ran.stderr
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (336, 336)
    (folder / "model.keras").unlink()
    ran = start(*command, MODEL_URI=str(folder))
    assert ran.returncode == 1
    assert f"there is no {folder / 'model.keras'}" in ran.stderr
