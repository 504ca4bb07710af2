"""A real Seldon server around the class, shared by the tests of this folder."""

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

import pytest

ROOT = Path(__file__).resolve().parents[2]
START_S = 60


@dataclass(frozen=True)
class Served:
    """Ports of a running `seldon-core-microservice`."""

    rest: int
    grpc: int


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    rest, grpc, metrics = free_ports(3)
    log = tmp_path_factory.mktemp("seldon") / "server.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("seldon-core-microservice")),
                "wrapper.KmnistClassifier",
                *("--http-port", str(rest), "--grpc-port", str(grpc)),
                *("--metrics-port", str(metrics), "--threads", "8", "--grpc-threads", "8"),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_up(process, rest, grpc, log)
        yield Served(rest, grpc)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until_up(process: subprocess.Popen[bytes], rest: int, grpc: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{rest}/health/status", timeout=5):
                socket.create_connection(("127.0.0.1", grpc), timeout=5).close()
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail("the server did not start:\n" + log.read_text()[-3000:])
