"""One replica on this machine, started as in the image."""

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


class ReplicaEntry(NamedTuple):
    """The entry of a replica in the registry, from which another manager can take it over.

    Attributes:
        name: its worker id.
        pid: process id of its supervisor.
        started_s: start time, in seconds since 1970.
        created_s: creation time of the process, which tells it from a later one with the same id.
        ports: its ports, by the variables in `PORTS`.
        log: path of its log file.
    """

    name: str
    pid: int
    started_s: float
    created_s: float
    ports: dict[str, int]
    log: str


class Replica:
    """A running replica: a supervisor with Seldon's server and workers.

    Args:
        entry: entry in the registry.
        process: its supervisor; None if another process started it.

    Attributes:
        entry: entry in the registry.
        ready: whether it was ready at the latest probe.
        was_ready: whether it was ready at any probe.
        stopping: whether `stop` was called.
        killed: whether `kill` was called.

    Raises:
        psutil.NoSuchProcess: it does not run.
    """

    def __init__(self, entry: ReplicaEntry, process: subprocess.Popen[bytes] | None = None) -> None:
        self.entry = entry
        self.ready = self.was_ready = self.stopping = self.killed = False
        self._child = process
        self._process = psutil.Process(entry.pid)
        if self._process.create_time() != entry.created_s:
            raise psutil.NoSuchProcess(entry.pid)

    @classmethod
    def start(cls, name: str, environment: dict[str, str], folder: Path, app: Path) -> Replica:
        """Starts a replica.

        Args:
            name: its worker id.
            environment: variables over those of the image.
            folder: folder of its log.
            app: folder of the class, in which it runs.
        """
        pick = port_picker(None)
        ports = {variable: pick() for variable in PORTS}
        log = folder / f"{name}.log"
        port_variables = {variable: str(port) for variable, port in ports.items()}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(RUN)],
                cwd=str(app),
                env={
                    **_image_environment(),
                    **environment,
                    **port_variables,
                    "KAFKA_WORKER_ID": name,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        created_s = psutil.Process(process.pid).create_time()
        entry = ReplicaEntry(name, process.pid, time.time(), created_s, ports, str(log))
        return cls(entry, process)

    @property
    def name(self) -> str:
        """Its worker id."""
        return self.entry.name

    def probe(self) -> None:
        """Queries whether it is ready; it waits for one second at most."""
        self.ready = answers_ok(self.entry.ports["KAFKA_HTTP_PORT"], "/ready")
        self.was_ready = self.was_ready or self.ready

    def end_reason(self) -> str | None:
        """Describes how it ended; None while it runs."""
        if self._child is not None:
            status = self._child.poll()
            if status is None:
                return None
            return self._describe_end(describe_exit(status) if status else "left")
        if self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
            return None
        return self._describe_end("ended")

    def stop(self) -> None:
        """Sends SIGTERM: the replica finishes its current batch and exits."""
        self.stopping = True
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kills all of its processes at once."""
        self.killed = True
        with contextlib.suppress(psutil.NoSuchProcess):
            # The supervisor is first, because it would restart the others.
            family = [self._process, *self._process.children(recursive=True)]
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def last_log_line(self) -> str:
        """Returns the last error in its log, else the last line."""
        try:
            lines = Path(self.entry.log).read_text("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines or [""])[-1]

    def as_dict(self) -> dict[str, Any]:
        """Returns its entry and state, for `status`."""
        return {
            **self.entry._asdict(),
            "ready": self.ready,
            "leaving": self.stopping,
            "killed": self.killed,
        }

    def _describe_end(self, how: str) -> str:
        if self.killed:
            return "killed on purpose (kill -9)"
        if self.stopping:
            return "stopped on purpose" if how == "left" else f"stopped on purpose, {how}"
        last = "" if self.was_ready else self.last_log_line()
        return f"{how}: {last}" if last else how


def _image_environment() -> dict[str, str]:
    """Returns the image's variables, overridden by those of this process."""
    found = dict(
        line.split("=", 1)
        for line in ENVIRONMENT.read_text("utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    )
    # The image listens on all addresses, for probes from outside the container.
    found["KAFKA_HTTP_HOST"] = "127.0.0.1"
    return {**found, **os.environ}
