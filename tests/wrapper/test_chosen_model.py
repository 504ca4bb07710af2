"""The choice of the model with MODEL_VARIANT and MODEL_URI, in each program that runs the class."""

import json
import os
import subprocess
import sys
import uuid
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import remote
from model.artefacts import SHIPPED, write_artefact
from tests.support.ports import free_port
from tests.support.stores import answering, reply
from wrapper import KmnistClassifier

ROOT = Path(__file__).resolve().parents[2]
FAST = SHIPPED / "fast"
CLASS = "wrapper.KmnistClassifier"
STARTS = {
    "worker": ["-m", "seldon_kafka", "worker", CLASS],
    "check": ["-m", "seldon_kafka", "check", CLASS],
    "seldon": [str(Path(sys.executable).with_name("seldon-core-microservice")), CLASS],
}


def start(how: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *STARTS[how]],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "KAFKA_BROKER": "127.0.0.1:1",
            # Other tests may run a worker at the same time, so each worker has its own name.
            "KAFKA_WORKER_ID": uuid.uuid4().hex,
            **environ,
        },
        capture_output=True,
        text=True,
    )


def test_the_artefact_of_a_custom_model_sets_its_name_and_threshold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (FAST / "model.tflite").read_bytes()
    artefact = write_artefact(
        tmp_path, "mine.tflite", content, variant="mine", abstain_below=1.0, made_by={}
    )
    monkeypatch.setenv("MODEL_URI", str(tmp_path))
    served = KmnistClassifier()
    served.load()
    tags = served.predict(np.zeros((3, 28, 28), np.uint8)).tags
    assert tags["abstain"] == [True] * 3
    assert tags["model"] == artefact.name
    assert served.init_metadata()["custom"]["abstain_below"] == "1.0"


def test_a_remote_model_is_fetched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[str] = []

    def serve(request: BaseHTTPRequestHandler) -> None:
        name = request.path.rpartition("%2F")[2].partition("?")[0]
        requests.append(name)
        reply(request, 200, (FAST / name).read_bytes())

    with answering(serve) as address:
        monkeypatch.setenv("RCLONE_CONFIG_GS_ENDPOINT", address)
        monkeypatch.setenv("MODEL_URI", "gs://models/kmnist")
        served = KmnistClassifier()
        served.init_metadata()
        served.load()
        served.load()
    assert requests == ["manifest.json", "model.tflite"]
    assert served.health_status() == [json.loads((FAST / "manifest.json").read_text())["name"]]


@pytest.mark.parametrize("how", STARTS)
def test_an_unknown_variant_is_one_error_line(how: str) -> None:
    ran = start(how, MODEL_VARIANT="slow")
    errors = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert errors == [
        "error: MODEL_VARIANT is 'slow': expected fast or accurate; "
        "set MODEL_URI for a model of your own"
    ]
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr + ran.stdout


def test_a_store_that_does_not_answer_is_a_temporary_error(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(remote, "PAUSES_S", (0.01,))
    monkeypatch.setenv("MODEL_URI", "s3://models/kmnist")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SystemExit) as exited:
        KmnistClassifier()
    assert exited.value.code == 1
    output = capsys.readouterr().err
    error = "error: s3://models/kmnist/manifest.json cannot be read from 127.0.0.1:"
    assert output.startswith(error)
    assert output.count("\n") == 1


@pytest.mark.parametrize("how", STARTS)
def test_a_file_that_is_no_model_is_one_error_line(how: str, tmp_path: Path) -> None:
    write_artefact(
        tmp_path, "model.tflite", b"nonsense", variant="mine", abstain_below=0.5, made_by={}
    )
    ran = start(how, MODEL_URI=str(tmp_path))
    errors = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    # Seldon's REST and gRPC servers are separate processes, and each prints it.
    assert {line.partition(": The model")[0] for line in errors} == {
        "error: not a TFLite model of 28 x 28 images"
    }
    assert ran.returncode != 0
    assert "ArtefactError" not in ran.stderr + ran.stdout
