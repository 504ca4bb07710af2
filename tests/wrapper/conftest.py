"""Runs a real Seldon server with the class, for all tests of this folder."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from seldon_core.proto import prediction_pb2_grpc

from tests.support.patience import patient
from tests.support.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
START_S = 60


@dataclass(frozen=True)
class Served:
    """Ports of a running `seldon-core-microservice`."""

    rest: int
    grpc: int


@contextlib.contextmanager
def serving(class_name: str, log: Path, **environ: str) -> Iterator[Served]:
    """Runs a real Seldon server with a class until the block ends."""
    rest_port, grpc_port, metrics = free_ports(3)
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("seldon-core-microservice")),
                class_name,
                *("--http-port", str(rest_port), "--grpc-port", str(grpc_port)),
                *("--metrics-port", str(metrics), "--threads", "8", "--grpc-threads", "8"),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_up(process, rest_port, grpc_port, log)
        yield Served(rest_port, grpc_port)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("seldon") / "server.log"
    with serving("wrapper.KmnistClassifier", log) as served:
        yield served


def rest(server: Served, message: Any, path: str = "/predict") -> tuple[int, Any]:
    """Returns status and reply of Seldon's server."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.rest}{path}",
        data=json.dumps(message).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=patient(20)) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def over_grpc(server: Served, message: Any) -> Any:
    """Returns the reply of Seldon's server to `Predict`."""
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        return prediction_pb2_grpc.SeldonStub(channel).Predict(message, timeout=patient(20))


def wait_until_up(process: subprocess.Popen[bytes], http: int, other: int, log: Path) -> None:
    deadline = time.monotonic() + patient(START_S)
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/health/status", timeout=5):
                socket.create_connection(("127.0.0.1", other), timeout=5).close()
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail("the server did not start:\n" + log.read_text()[-3000:])
