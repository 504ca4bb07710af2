"""The replicas under test: they are started as the image starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.faults import user_models
from tests.faults.environment import with_settings
from tests.support.patience import patient
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
_LEAVE_S = 30.0


class Replica:
    """A supervisor and its worker.

    Args:
        name: its worker id.
        environ: settings.
        folder: folder for its log, and for the files that control its user model.
        command: prefix of the command, such as `ip netns exec …`.
        host: address of its HTTP port.
        class_name: name of the user model; default that of the replica's name.

    Attributes:
        name: its worker id.
        left_after: seconds from each SIGTERM to the supervisor's exit.
    """

    def __init__(
        self,
        name: str,
        environ: dict[str, str],
        folder: Path,
        command: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        class_name: str = "",
    ) -> None:
        self.name = name
        self.left_after: list[float] = []
        self.log = folder / f"{name}.log"
        self._environ = environ
        self._folder = folder
        self._command = command
        self._host = host
        kind = user_models.CLASSES.get(name, user_models.Faulty)
        self._class_name = class_name or f"{user_models.__name__}.{kind.__name__}"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._terminated_at = 0.0

    def start(self, **environ: str) -> None:
        """Starts the replica, with further variables."""
        self._port = free_port()
        own = {
            "KAFKA_WORKER_ID": self.name,
            "KAFKA_HTTP_HOST": self._host,
            "KAFKA_HTTP_PORT": str(self._port),
            "KAFKA_SELDON_SERVER": "off",
            user_models.FOLDER: str(self._folder),
            user_models.REPLICA: self.name,
            # One thread each, because replicas, brokers and load share a few cores.
            "OMP_NUM_THREADS": "1",
        }
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._command, sys.executable, "-m", "seldon_kafka", "serve", self._class_name],
                cwd=ROOT,
                env=with_settings({**self._environ, **own, **environ}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def runs(self) -> bool:
        """Whether the supervisor is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        assert self._process is not None
        return self._process.pid

    def worker(self) -> int | None:
        """Returns the process id of the worker, or None while there is none."""
        try:
            children = psutil.Process(self.pid).children()
        except psutil.NoSuchProcess:
            return None
        return next((child.pid for child in children if _is_worker(child)), None)

    def is_ready(self) -> bool:
        """Returns whether `/ready` answers with 200."""
        return self.ask("/ready")[0] == 200

    def ask(self, path: str) -> tuple[int, str]:
        """Returns the status and text of a GET; status 0 without an answer."""
        try:
            with urllib.request.urlopen(self._url(path), timeout=2) as got:
                return got.status, got.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def clock(self) -> float | None:
        """Returns the supervisor's time, from the `Date` of an answer; None without one."""
        try:
            with urllib.request.urlopen(self._url("/live"), timeout=2) as got:
                date = got.headers["Date"]
        except OSError:
            return None
        return None if date is None else parsedate_to_datetime(date).timestamp()

    def _url(self, path: str) -> str:
        return f"http://{self._host}:{self._port}{path}"

    def metric(self, name: str) -> float:
        """Returns the sum of a metric over its labels; 0 without an answer."""
        families = text_string_to_metric_families(self.ask("/metrics")[1])
        samples = [sample for family in families for sample in family.samples]
        return float(sum(sample.value for sample in samples if sample.name == name))

    def restarts(self) -> int:
        """Returns the number of restarts of the worker."""
        status, text = self.ask("/status")
        return int(json.loads(text)["workers"][0]["restarts"]) if status == 200 else 0

    def terminate(self) -> None:
        """Sends SIGTERM to the supervisor, as Kubernetes does."""
        assert self._process is not None
        self._terminated_at = time.monotonic()
        self._process.terminate()

    def wait(self) -> int:
        """Waits until the supervisor has exited, and stores how long that took.

        Raises:
            subprocess.TimeoutExpired: it did not exit in time.
        """
        assert self._process is not None
        status = self._process.wait(patient(_LEAVE_S))
        self.left_after.append(time.monotonic() - self._terminated_at)
        return status

    def kill(self) -> None:
        """Sends SIGKILL to the supervisor and its worker, as when a pod dies."""
        assert self._process is not None
        worker = self.worker()
        self._process.kill()
        if worker is not None:
            signal_to(worker, signal.SIGKILL)
        self._process.wait()


def signal_to(pid: int, number: signal.Signals) -> bool:
    """Sends a signal, and returns whether the process existed."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _is_worker(process: psutil.Process) -> bool:
    try:
        return bool(process.cmdline()[1:4] == ["-m", "seldon_kafka", "worker"])
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
