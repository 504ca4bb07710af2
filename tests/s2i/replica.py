"""One replica, started as s2i's image starts it, and how clients ask it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc

from tests.wrapper.conftest import free_ports

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60
MARK = "REPLICA_OF_TEST"


def image_environment() -> dict[str, str]:
    """What s2i writes into the image."""
    lines = (ROOT / ".s2i" / "environment").read_text("utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


class Replica:
    """The first process of a container, without the container.

    Args:
        python: the interpreter, as if it were the image's only one.
        log: a file for what it prints.
        environ: what the deployment sets.
    """

    def __init__(self, python: str, log: Path, environ: dict[str, str]) -> None:
        self.rest, self.grpc, metrics, self.http = free_ports(4)
        self._log = log
        self._mark = uuid.uuid4().hex
        outside = {key: each for key, each in os.environ.items() if not key.startswith("KAFKA_")}
        # s2i, too, keeps the script apart from the source.
        script = shutil.copy(ROOT / ".s2i" / "bin" / "run", log.with_suffix(".run"))
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [script],
                cwd=ROOT,
                env={
                    **outside,
                    **image_environment(),
                    "PYTHON": python,
                    "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(self.rest),
                    "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(self.grpc),
                    "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(metrics),
                    "KAFKA_HTTP_HOST": "127.0.0.1",
                    **environ,
                    "KAFKA_HTTP_PORT": str(self.http),
                    MARK: self._mark,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        """What it printed so far."""
        return self._log.read_text("utf-8", "replace")

    def await_ready(self) -> None:
        """Waits until Kubernetes would send it requests."""
        give_up_at = time.monotonic() + READY_S
        while not self.is_ready():
            assert self.process.poll() is None, f"it ended:\n{self.log[-3000:]}"
            assert time.monotonic() < give_up_at, f"not ready:\n{self.log[-3000:]}"
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """Whether `/ready` says so."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/ready", timeout=5):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False

    def terminate(self) -> float:
        """Sends SIGTERM to the first process and waits until it has ended; the seconds it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return time.monotonic() - started

    def left_behind(self) -> list[int]:
        """Processes that it started, or they, and that still run."""
        mark = f"{MARK}={self._mark}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
            except OSError:
                continue  # it has just ended
        return found

    def kill(self) -> None:
        """Ends all of it, whatever state it is in."""
        self.process.kill()
        self.process.wait()
        for pid in self.left_behind():
            os.kill(pid, signal.SIGKILL)

    def over_rest(self, value: bytes) -> NDArray[Any]:
        """The probabilities for a message of one of the JSON formats."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.rest}/predict",
            data=value,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as reply:
            return rows_of_json(reply.read())

    def over_grpc(self, value: bytes) -> NDArray[Any]:
        """The probabilities for a serialised `SeldonMessage`."""
        request = prediction_pb2.SeldonMessage.FromString(value)
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc}") as channel:
            reply = prediction_pb2_grpc.SeldonStub(channel).Predict(request, timeout=20)
        return _rows_of_message(reply)


def rows_of_json(value: bytes) -> NDArray[Any]:
    """The rows of a reply in any of the JSON formats."""
    reply = json.loads(value)
    if "predictions" in reply:
        return np.array(reply["predictions"])
    if "outputs" in reply:
        tensor = reply["outputs"][0]
        return np.reshape(tensor["data"], tensor["shape"])
    if "ndarray" in reply["data"]:
        return np.array(reply["data"]["ndarray"])
    tensor = reply["data"]["tensor"]
    return np.reshape(tensor["values"], tensor["shape"])


def rows_of_protobuf(value: bytes) -> NDArray[Any]:
    """The rows of a reply that is a serialised `SeldonMessage`."""
    return _rows_of_message(prediction_pb2.SeldonMessage.FromString(value))


def _rows_of_message(message: Any) -> NDArray[Any]:
    return np.reshape(message.data.tensor.values, message.data.tensor.shape)
