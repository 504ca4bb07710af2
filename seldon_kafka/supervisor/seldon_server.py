"""Seldon's own server for the class: REST, gRPC and metrics."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Dict, List, Optional

from seldon_kafka.supervisor.probe import answers_ok
from seldon_kafka.supervisor.process import Process, describe_exit

# Name for Seldon's server: it makes an instance of the class in MODEL_NAME that logs its requests.
_LOGGING_CLASS = "seldon_kafka.request_log.over_seldon.logged"
_DEFAULT_HTTP_PORT = 9000
_RESTART_S = 1.0
# The interval of probes.
_ASK_EVERY_S = 0.5


class SeldonServer:
    """Runs `seldon-core-microservice`, and restarts it when it dies.

    The first process of `seldon-core-microservice` is the REST server. After SIGTERM the REST
    server finishes its requests, ends the metrics process, and then waits for ever for the gRPC
    servers, which get no signal. So callers wait until `has_left` is true, and `end` then kills the
    rest of the process group. (SIGTERM to the whole group would end the metrics process first. The
    other processes could not clear their metrics in it, and each would end with a stack trace.)

    Args:
        class_name: the wrapper class.
        environment: all environment variables of the server; Seldon's variables set the ports.
        logs_requests: whether each request is written to the request log.
    """

    def __init__(
        self, class_name: str, environment: Dict[str, str], *, logs_requests: bool = False
    ) -> None:
        self._served = class_name
        # Workers look for the class in the working folder first. With this path Seldon does too,
        # and not in installed packages first.
        path = os.pathsep.join(filter(None, [str(Path.cwd()), environment.get("PYTHONPATH", "")]))
        self._environment = {**environment, "PYTHONPATH": path}
        if logs_requests:
            self._served = _LOGGING_CLASS
            self._environment["MODEL_NAME"] = class_name
        self._process: Optional[Process] = None
        self._answers = False
        self._asked_at = 0.0
        self._start_at = 0.0
        self.http_port = int(
            environment.get("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", _DEFAULT_HTTP_PORT)
        )

    @property
    def pid(self) -> Optional[int]:
        """Process id of the REST server; None while it does not run."""
        return self._process.pid if self._process is not None else None

    @property
    def is_ready(self) -> bool:
        """Whether the server runs and answered the last probe."""
        return self._process is not None and self._answers

    def start(self) -> None:
        """Starts the server."""
        script = Path(sys.executable).with_name("seldon-core-microservice")
        service_type = self._environment.get("SERVICE_TYPE", "MODEL")
        if service_type == "OUTPUT_TRANSFORMER":
            # Seldon's server does not accept this type, but has the paths of every type.
            service_type = "TRANSFORMER"
        command: List[str] = [sys.executable, str(script), self._served]
        if not script.exists():
            # Scripts of packages in a user's home folder are in another folder.
            command[1:2] = ["-c", "from seldon_core.microservice import main; main()"]
        self._process = Process([*command, "--service-type", service_type], self._environment)
        self._answers = False

    def check(self) -> Optional[str]:
        """Probes the server, and restarts it a second after it died.

        Returns:
            A description of the exit if the server died since the last call, or None.
        """
        now = time.monotonic()
        if self._process is None:
            if now >= self._start_at:
                self.start()
            return None
        status = self._process.poll()
        if status is not None:
            self._process.end()
            self._process, self._answers = None, False
            self._start_at = now + _RESTART_S
            return f"Seldon's server: {describe_exit(status)}"
        if now - self._asked_at >= _ASK_EVERY_S:
            self._asked_at = now
            self._answers = answers_ok(self.http_port, "/health/ping")
        return None

    def stop(self) -> None:
        """Asks the REST server to finish its requests and exit."""
        if self._process is not None:
            self._process.signal(signal.SIGTERM)

    def has_left(self) -> bool:
        """Returns whether the server has finished its requests after `stop`.

        At most one child, the parent of the gRPC servers, is left then. Outside Linux the children
        are not known, and the answer is True at once.
        """
        process = self._process
        return process is None or process.poll() is not None or process.children() <= 1

    def end(self) -> None:
        """Kills the server's remaining processes."""
        if self._process is not None:
            self._process.end()
            self._process = None
