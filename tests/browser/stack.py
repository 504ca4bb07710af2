"""A dashboard with its cluster and replicas, started by its command line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tests.support.patience import patient
from tests.support.stream import ROOT, wait_until

_READY_S = 90
_LEAVE_S = 40


class Dashboard:
    """A running `python -m consumer.dashboard`.

    Args:
        environ: its environment variables.
        log: the file for its output.
        arguments: its further arguments.
    """

    def __init__(self, environ: dict[str, str], log: Path, *arguments: str) -> None:
        self.environ = environ
        self.log = log
        with log.open("wb") as log_file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "consumer.dashboard", "--port", "0", *arguments],
                cwd=ROOT, env=environ, stdout=log_file, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        self.url = wait_until(self._address, _READY_S, "the page's address")

    def _address(self) -> str | None:
        output = self.log.read_text()
        assert self.process.poll() is None, output
        found = re.search(r"the dashboard is at (http://\S+)", output)
        return found and found[1]

    def end(self, how: signal.Signals = signal.SIGINT) -> str:
        """Sends Ctrl-C, or another signal, and returns the output."""
        self.process.send_signal(how)
        try:
            status = self.process.wait(patient(_LEAVE_S))
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        output = self.log.read_text()
        assert status == 0, output
        assert "Traceback" not in output, output
        return output


class Stack:
    """A cluster and replicas with their page.

    Args:
        folder: the folder for all files.
        class_name: the user model.
    """

    def __init__(
        self, folder: Path, class_name: str = "tests.browser.fixable.FixableClassifier"
    ) -> None:
        self.fix_file = folder / "fixed"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
        self.environ = {
            **clean,
            "KAFKA_CLUSTER_DIR": str(folder / "cluster"),
            "KAFKA_STATE_DIR": str(folder / "state"),
            "KAFKA_SELDON_SERVER": "off",
            "MODEL_NAME": class_name,
            "REPLICAS_APP": str(ROOT),
            "FIX_FILE": str(self.fix_file),
        }
        self.folder = folder
        self.dashboard = Dashboard(self.environ, folder / "dashboard.log", "--all")
        self.url = self.dashboard.url

    @property
    def bootstrap(self) -> str:
        return (
            self.run("kafka.cluster", "status", "--json", may_fail=True)
            .split('"bootstrap": "')[1]
            .split('"')[0]
        )

    def run(self, *words: str, may_fail: bool = False) -> str:
        """Runs `python -m …` with the environment of the page, and returns the output."""
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, env=self.environ,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert may_fail or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def send(
        self,
        values: Iterable[bytes],
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        topic: str = "model_input",
    ) -> None:
        """Sends messages without the page."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "log_level": 2})
        typed: list[tuple[str, Any]] = list(headers)
        for value in values:
            producer.produce(topic, value, key=key, headers=typed)
        assert producer.flush(20) == 0

    def second_page(self, *arguments: str, **environ: str) -> Dashboard:
        """Starts another page for the same cluster and replicas."""
        log = self.folder / f"page-{time.monotonic_ns()}.log"
        return Dashboard({**self.environ, **environ}, log, *arguments)

    def end(self) -> None:
        self.dashboard.end()
        self.run("kafka.cluster", "down", "--delete", may_fail=True)
