"""One replica on this machine, started the way the image starts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from kafka.cluster.start import port_picker
from seldon_kafka.supervisor.probe import answers_ok
from seldon_kafka.supervisor.process import describe_exit

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / ".s2i" / "bin" / "run"
ENVIRONMENT = ROOT / ".s2i" / "environment"

PORTS = (
    "KAFKA_HTTP_PORT",
    "PREDICTIVE_UNIT_HTTP_SERVICE_PORT",
    "PREDICTIVE_UNIT_GRPC_SERVICE_PORT",
    "PREDICTIVE_UNIT_METRICS_SERVICE_PORT",
)


class Birth(NamedTuple):
    """What is remembered of a replica outside of the process that started it.

    Attributes:
        name: its worker id.
        pid: of its supervisor.
        started_s: when, in seconds since 1970.
        created_s: the process's own creation time, which no other process of that id shares.
        ports: by `PORTS`.
        log: file that its output goes to.
    """

    name: str
    pid: int
    started_s: float
    created_s: float
    ports: dict[str, int]
    log: str


class Replica:
    """A replica: a supervisor with Seldon's server and workers below it.

    Attributes:
        birth: what tells it from all others.
        ready: whether it said so when it was asked last.
        was_ready: whether it ever said so.
        told_to_stop: whether it is to leave.
        killed: whether it was killed on purpose.
    """

    def __init__(self, birth: Birth, process: subprocess.Popen[bytes] | None = None) -> None:
        """Takes a running replica over.

        Raises:
            psutil.NoSuchProcess: It runs no more.
        """
        self.birth = birth
        self.ready = self.was_ready = self.told_to_stop = self.killed = False
        self._own = process
        self._process = psutil.Process(birth.pid)
        if self._process.create_time() != birth.created_s:
            raise psutil.NoSuchProcess(birth.pid)

    @classmethod
    def start(cls, name: str, environment: dict[str, str], folder: Path, app: Path) -> Replica:
        """Starts one.

        Args:
            name: its worker id.
            environment: what it gets beside that of the image.
            folder: where its log goes.
            app: the folder with the class, in which it runs.
        """
        pick = port_picker(None)
        ports = {variable: pick() for variable in PORTS}
        log = folder / f"{name}.log"
        own = {variable: str(port) for variable, port in ports.items()}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(RUN)],
                cwd=str(app),
                env={**_image_environment(), **environment, **own, "KAFKA_WORKER_ID": name},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        created_s = psutil.Process(process.pid).create_time()
        return cls(Birth(name, process.pid, time.time(), created_s, ports, str(log)), process)

    @property
    def name(self) -> str:
        """Its worker id."""
        return self.birth.name

    def ask(self) -> None:
        """Asks whether it is ready, for a second at most."""
        self.ready = answers_ok(self.birth.ports["KAFKA_HTTP_PORT"], "/ready")
        self.was_ready = self.was_ready or self.ready

    def why_ended(self) -> str | None:
        """How it ended, in words; None while it runs."""
        if self._own is not None:
            status = self._own.poll()
            if status is None:
                return None
            return self._in_words(describe_exit(status) if status else "left")
        if self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
            return None
        return self._in_words("ended")

    def stop(self) -> None:
        """Asks it to finish and leave."""
        self.told_to_stop = True
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends all of its processes at once, as the loss of a machine would."""
        self.killed = True
        with contextlib.suppress(psutil.NoSuchProcess):
            # First what would start the others again.
            family = [self._process, *self._process.children(recursive=True)]
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def last_words(self) -> str:
        """The line of its log that says most: the last error of a part, else the last of all."""
        try:
            lines = Path(self.birth.log).read_text("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines or [""])[-1]

    def as_dict(self) -> dict[str, Any]:
        """For `status`."""
        return {
            **self.birth._asdict(),
            "ready": self.ready,
            "leaving": self.told_to_stop,
            "killed": self.killed,
        }

    def _in_words(self, how: str) -> str:
        if self.killed:
            return "killed on purpose (kill -9)"
        if self.told_to_stop:
            return "stopped on purpose" if how == "left" else f"stopped on purpose, {how}"
        last = "" if self.was_ready else self.last_words()
        return f"{how}: {last}" if last else how


def _image_environment() -> dict[str, str]:
    """The process's own environment over that of the image."""
    found = dict(
        line.split("=", 1)
        for line in ENVIRONMENT.read_text("utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    )
    # The image's own address is for probes from outside of a container; here is none.
    found["KAFKA_HTTP_HOST"] = "127.0.0.1"
    return {**found, **os.environ}
