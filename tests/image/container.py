"""A container that runs as Kubernetes would run it: read-only, without any right, as user 8888."""

from __future__ import annotations

import time
import uuid

from tests.support.endpoints import Endpoints
from tests.support.image_engine import docker, inspect
from tests.support.patience import patient
from tests.support.ports import free_ports

_READY_S = 60
SCRIPT = "/microservice/.s2i/bin/run"


class Container(Endpoints):
    """A container of an image, on this machine's own network.

    Args:
        image: its tag.
        environ: what the deployment sets.
        command: what it runs; as the image says unless given.
        writable: whether it may write where it likes, as `docker run IMAGE` lets it.
    """

    def __init__(
        self, image: str, environ: dict[str, str], *command: str, writable: bool = False
    ) -> None:
        rest, grpc, metrics, http = free_ports(4)
        super().__init__("127.0.0.1", rest, grpc, http)
        self.name = f"image-test-{uuid.uuid4().hex[:8]}"
        variables = {
            "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(rest),
            "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(grpc),
            "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(metrics),
            **environ,
            "KAFKA_HTTP_PORT": str(http),
        }
        rights = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        if not writable:
            rights += ["--read-only", "--tmpfs", "/tmp"]
        docker(
            "run", "--detach", "--name", self.name, "--network", "host", *rights,
            *(part for each in variables.items() for part in ("--env", "=".join(each))),
            image, *command,
        )  # fmt: skip

    @property
    def log(self) -> str:
        """What it printed so far."""
        return docker("logs", self.name)

    @property
    def exit_code(self) -> int:
        """The status that it left with."""
        return int(inspect(self.name)["State"]["ExitCode"])

    def await_ready(self) -> None:
        """Waits until Kubernetes would send it requests."""
        give_up_at = time.monotonic() + patient(_READY_S)
        while not self.is_ready():
            assert inspect(self.name)["State"]["Running"], f"it ended:\n{self.log[-3000:]}"
            assert time.monotonic() < give_up_at, f"not ready:\n{self.log[-3000:]}"
            time.sleep(0.1)

    def run(self, *command: str) -> str:
        """What a command prints inside."""
        return docker("exec", self.name, *command)

    def terminate(self) -> float:
        """Sends SIGTERM to the first process and waits until it has ended; the seconds it took."""
        started = time.monotonic()
        docker("kill", "--signal", "TERM", self.name)
        docker("wait", self.name, timeout=60)
        return time.monotonic() - started

    def remove(self) -> None:
        """Ends it, whatever state it is in."""
        docker("rm", "--force", self.name)
