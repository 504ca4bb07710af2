"""What s2i finds in the source: the variables, and requirements for each Python."""

from __future__ import annotations

import importlib
import os
import subprocess
from collections import Counter

import pytest
from packaging.requirements import Requirement

from tests.s2i.conftest import PYTHON38
from tests.support.image_replica import ROOT, image_environment
from tests.support.patience import patient

REQUIREMENTS = ROOT / "requirements.txt"


def requirements() -> list[Requirement]:
    lines = REQUIREMENTS.read_text("utf-8").splitlines()
    return [Requirement(line.rstrip(" \\")) for line in lines if line[:1].isalnum()]


def test_the_image_is_told_which_class_to_serve() -> None:
    environment = image_environment()
    assert {"MODEL_NAME", "SERVICE_TYPE", "PERSISTENCE"} <= set(environment)
    assert environment["SERVICE_TYPE"] == "MODEL"
    module, _, name = environment["MODEL_NAME"].rpartition(".")
    assert hasattr(importlib.import_module(module), name)


def test_the_probes_of_kubernetes_reach_the_image() -> None:
    assert image_environment()["KAFKA_HTTP_HOST"] == "0.0.0.0"


def test_the_first_process_can_be_run() -> None:
    assert os.access(ROOT / ".s2i" / "bin" / "run", os.X_OK)


@pytest.mark.parametrize("version", ["3.8", "3.10", "3.11", "3.12"])
def test_every_python_gets_one_version_of_each_requirement(version: str) -> None:
    python = {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "platform_machine": "x86_64",
    }
    chosen = [each for each in requirements() if not each.marker or each.marker.evaluate(python)]
    names = Counter(each.name for each in chosen)
    assert set(names.values()) == {1}
    assert ("tflite-runtime" in names) != ("ai-edge-litert" in names)


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.skipif(not PYTHON38.exists(), reason="there is no Python 3.8 here")
def test_the_requirements_can_be_had_on_python_3_8() -> None:
    command = [str(PYTHON38), "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    ran = subprocess.run(
        [*command, "--quiet", "-r", str(REQUIREMENTS)],
        capture_output=True,
        text=True,
        timeout=patient(580),
    )
    assert ran.returncode == 0, ran.stderr
