"""The measurement of a model's speed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from model.artefacts import SHIPPED
from tests.support.environments import (
    PYTHON38,
    ROOT,
    TRAINING_PYTHON,
    needs_python38,
    needs_tensorflow,
)
from tests.support.patience import patient

LITERT = ("ai_edge_litert ", "tflite_runtime ")


@pytest.mark.parametrize(
    ("python", "model", "runtimes"),
    [
        (Path(sys.executable), "fast", LITERT),
        (Path(sys.executable), "fast/float", LITERT),
        (Path(sys.executable), "baseline", ("sklearn ",)),
        pytest.param(PYTHON38, "accurate", LITERT, marks=needs_python38),
        pytest.param(
            TRAINING_PYTHON,
            "fast/model.keras",
            ("tensorflow ",),
            marks=[*needs_tensorflow],
        ),
    ],
    ids=["int8", "float", "baseline", "python-3.8", "keras"],
)
def test_each_batch_size_of_each_form_is_measured(
    python: Path, model: str, runtimes: tuple[str, ...]
) -> None:
    command = [str(python), "-m", "model.speed", str(SHIPPED / model), "--threads", "1"]
    command += ["--batches", "1", "8", "--seconds", "0.01"]
    ran = subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=patient(120)
    )
    found = json.loads(ran.stdout)
    assert found["runtime"].startswith(runtimes)
    assert found["threads"] == 1
    assert found["first_answer_s"] >= 0
    assert 10 < found["peak_memory_mb"] < 2_000
    assert [rate["batch"] for rate in found["images_per_second"]] == [1, 8]
    for rate in found["images_per_second"]:
        assert 0 < rate["minimum"] <= rate["median"] <= rate["maximum"]


def test_the_memory_excludes_that_of_the_parent_process() -> None:
    code = "import subprocess, sys; much = bytes(700_000_000); subprocess.run(sys.argv[1:])"
    command = ["-m", "model.speed", str(SHIPPED / "fast"), "--batches", "1", "--seconds", "0.01"]
    ran = subprocess.run(
        [sys.executable, "-c", code, sys.executable, *command],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        timeout=patient(120),
    )
    assert json.loads(ran.stdout)["peak_memory_mb"] < 300


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["absent"], 1, "error: cannot read"),
        (["absent", "--batches", "0"], 2, "expected a whole number from 1 on, got '0'"),
    ],
)
def test_an_error_is_shown_without_a_stack_trace(
    arguments: list[str], status: int, message: str
) -> None:
    command = [sys.executable, "-m", "model.speed", *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(120))
    assert ran.returncode == status
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
