"""One replica, started as s2i's image starts it, and how clients ask it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

from sdep.s2i_environment import read_environment
from tests.support.endpoints import Endpoints
from tests.support.patience import patient
from tests.support.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60
MARK = "REPLICA_OF_TEST"


def image_environment() -> dict[str, str]:
    """What s2i writes into the image."""
    return read_environment(ROOT)


class Replica(Endpoints):
    """The first process of a container, without the container.

    Args:
        python: the interpreter, as if it were the image's only one.
        log: a file for what it prints.
        environ: what the deployment sets.
    """

    def __init__(self, python: str, log: Path, environ: dict[str, str]) -> None:
        rest, grpc, metrics, http = free_ports(4)
        super().__init__("127.0.0.1", rest, grpc, http)
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
        give_up_at = time.monotonic() + patient(READY_S)
        while not self.is_ready():
            assert self.process.poll() is None, f"it ended:\n{self.log[-3000:]}"
            assert time.monotonic() < give_up_at, f"not ready:\n{self.log[-3000:]}"
            time.sleep(0.05)

    def terminate(self) -> float:
        """Sends SIGTERM to the first process and waits until it has ended; the seconds it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(patient(30))
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
