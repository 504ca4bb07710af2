"""Starts, probes and ends one replica on this machine."""

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
    """The entry of a replica in the registry, with which another manager can take it over.

    Attributes:
        name: name of the replica, which is its `KAFKA_WORKER_ID`.
        pid: process id of the supervisor.
        started_s: start time, in seconds since 1970.
        created_s: creation time of the process according to the kernel, in seconds since 1970. A
            later process with the same id has another creation time.
        ports: ports of the replica, by variable in `PORTS`.
        log: path of the log file.
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
        process: the supervisor; None if another process started the supervisor.

    Attributes:
        entry: entry in the registry.
        ready: whether the replica was ready at the latest probe.
        was_ready: whether the replica was ready at any probe.
        stopping: whether `stop` was called.
        killed: whether `kill` was called.

    Raises:
        psutil.NoSuchProcess: the replica does not run.
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
        """Starts a replica with the same command as in the image.

        Args:
            name: name of the replica.
            environment: variables of the replica. They override the variables of the image.
            folder: folder for the log.
            app: folder of the user model, in which the replica runs.
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
        """Name of the replica."""
        return self.entry.name

    def probe(self) -> None:
        """Queries `/ready`, and sets `ready` and `was_ready`; waits for one second at most."""
        self.ready = answers_ok(self.entry.ports["KAFKA_HTTP_PORT"], "/ready")
        self.was_ready = self.was_ready or self.ready

    def end_reason(self) -> str | None:
        """Returns a description of how the replica ended; None while it runs."""
        if self._child is not None:
            status = self._child.poll()
            if status is None:
                return None
            return self._describe_end(describe_exit(status) if status else "left")
        if self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
            return None
        return self._describe_end("ended")

    def stop(self) -> None:
        """Sends SIGTERM, so that the replica finishes its current batch and exits."""
        self.stopping = True
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kills all processes of the replica with SIGKILL."""
        self.killed = True
        with contextlib.suppress(psutil.NoSuchProcess):
            # The supervisor is first, because it would restart the other processes.
            family = [self._process, *self._process.children(recursive=True)]
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def last_log_line(self) -> str:
        """Returns the last error in the log, else the last line; empty without a log."""
        try:
            lines = Path(self.entry.log).read_text("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines or [""])[-1]

    def as_dict(self) -> dict[str, Any]:
        """Returns entry and state of the replica, as values for JSON."""
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
    """Returns the variables of the image and of this process, which override the image's."""
    found = dict(
        line.split("=", 1)
        for line in ENVIRONMENT.read_text("utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    )
    # In the image, a replica listens on all addresses, for probes from outside the container. Here,
    # all probes come from this machine.
    found["KAFKA_HTTP_HOST"] = "127.0.0.1"
    return {**found, **os.environ}
