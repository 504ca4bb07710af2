"""Several replicas on one machine, each started the way the image starts.

`python -m kafka.replicas` runs them until Ctrl-C. Each has an id and ports of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional

from kafka.settings import SettingsError, load_settings, require_broker
from kafka.supervisor.probe import answers_ok

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / ".s2i" / "bin" / "run"
ENVIRONMENT = ROOT / ".s2i" / "environment"

_READY_WITHIN_S = 60.0
_LEAVE_WITHIN_S = 10.0
_PORTS = (
    "KAFKA_HTTP_PORT",
    "PREDICTIVE_UNIT_HTTP_SERVICE_PORT",
    "PREDICTIVE_UNIT_GRPC_SERVICE_PORT",
    "PREDICTIVE_UNIT_METRICS_SERVICE_PORT",
)

EXAMPLES = """\
examples:
  python -m kafka.replicas                  two replicas on the local cluster
  python -m kafka.replicas --count 4
  MODEL_NAME=MyModel python -m kafka.replicas
"""


class ReplicaError(Exception):
    """A replica did not start; the message says why."""


class Replica:
    """One replica: a supervisor with Seldon's server and workers below it.

    Args:
        name: its worker id.
        ports: one for each of `_PORTS`.
        environment: what it gets beside `.s2i/environment`.
        log: file that its output goes to.
    """

    def __init__(self, name: str, ports: List[int], environment: Dict[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.ports = dict(zip(_PORTS, ports))
        own = {variable: str(port) for variable, port in self.ports.items()}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [str(RUN)],
                cwd=str(ROOT),
                env={**_image_environment(), **environment, **own, "KAFKA_WORKER_ID": name},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return self._process.pid

    def is_ready(self) -> bool:
        """Whether `/ready` says so.

        Raises:
            ReplicaError: the replica has ended.
        """
        if self._process.poll() is not None:
            last = self.log.read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise ReplicaError(
                f"replica {self.name} ended: {' '.join(last)} (all of it: {self.log})"
            )
        return answers_ok(self.ports["KAFKA_HTTP_PORT"], "/ready")

    def stop(self) -> None:
        """Asks it to finish and leave."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Waits until it has left, and kills it if it does not; returns its exit status."""
        try:
            return self._process.wait(_LEAVE_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class Replicas:
    """A number of replicas, as a context manager that stops them.

    Args:
        count: how many.
        environment: what they get beside `.s2i/environment`; `KAFKA_BROKER` at least.
        folder: where their logs go.
        told: called with each replica that became ready.
    """

    def __init__(
        self,
        count: int,
        environment: Dict[str, str],
        folder: Path,
        told: Callable[[Replica], None] = lambda replica: None,
    ) -> None:
        self._count = count
        self._environment = {"PYTHON": sys.executable, **environment}
        self._folder = folder
        self._told = told
        self.replicas: List[Replica] = []

    def __enter__(self) -> Replicas:
        """Starts them and waits until all are ready.

        Raises:
            ReplicaError: one of them does not become ready.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            ports = _free_ports(self._count * len(_PORTS))
            for number in range(self._count):
                name = f"replica-{number + 1}"
                own = ports[number * len(_PORTS) : (number + 1) * len(_PORTS)]
                log = self._folder / f"{name}.log"
                self.replicas.append(Replica(name, own, self._environment, log))
            self._await_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _await_ready(self) -> None:
        waiting = list(self.replicas)
        give_up_at = time.monotonic() + _READY_WITHIN_S
        while waiting:
            for replica in list(waiting):
                if replica.is_ready():
                    waiting.remove(replica)
                    self._told(replica)
            if time.monotonic() > give_up_at:
                late = waiting[0]
                raise ReplicaError(f"replica {late.name} is not ready; its log: {late.log}")
            time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        """Lets them finish and leave."""
        for replica in self.replicas:
            replica.stop()
        for replica in self.replicas:
            replica.wait()


def _image_environment() -> Dict[str, str]:
    """The process's own environment over that of the image."""
    found = dict(
        line.split("=", 1)
        for line in ENVIRONMENT.read_text("utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    )
    # The image's own address is for probes from outside of a container; here is none.
    found["KAFKA_HTTP_HOST"] = "127.0.0.1"
    return {**found, **os.environ}


def _free_ports(count: int) -> List[int]:
    """Ports that nobody listens on now; all are held until all are found."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def main(arguments: Optional[List[str]] = None) -> int:
    """Runs replicas until SIGTERM or Ctrl-C.

    Returns:
        Exit status: 0 when told to stop, 1 if one did not start, 2 on wrong use.
    """
    parser = argparse.ArgumentParser(
        prog="python -m kafka.replicas",
        description="Runs several replicas on this machine, each as the image would.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--count", type=int, default=2, help="how many (2)")
    options = parser.parse_args(arguments)
    try:
        settings = require_broker(load_settings())
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        folder = Path(settings.state_dir) / "logs"
        environment = {"KAFKA_BROKER": settings.broker}
        with Replicas(options.count, environment, folder, _say):
            print(f"{options.count} replicas work; Ctrl-C stops them", flush=True)
            while True:
                time.sleep(3600)
    except ReplicaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _say(replica: Replica) -> None:
    ports = replica.ports
    print(
        f"{replica.name} is ready: REST {ports['PREDICTIVE_UNIT_HTTP_SERVICE_PORT']}, "
        f"gRPC {ports['PREDICTIVE_UNIT_GRPC_SERVICE_PORT']}, "
        f"/status on {ports['KAFKA_HTTP_PORT']}, log {replica.log}"
    )


if __name__ == "__main__":
    sys.exit(main())
