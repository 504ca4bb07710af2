"""`make demo` shows its results, and leaves no process however it ends."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.patience import patient

ROOT = Path(__file__).resolve().parents[2]
QUIET_S = 15


class Terminal:
    """The demo in a terminal of its own, where Ctrl-C reaches every process."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        environ = {name: value for name, value in os.environ.items() if name != "KAFKA_BROKER"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "consumer.demo"],
            cwd=ROOT,
            # The demo must not use a cluster that a person runs here.
            env={**environ, "KAFKA_CLUSTER_DIR": "no-such-cluster", "TERM": "xterm-256color"},
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.said = ""
        self.family: set[psutil.Process] = set()

    def read_until(self, text: str, within_s: float = 60) -> None:
        give_up_at = time.monotonic() + patient(within_s)
        while text not in self.said:
            assert time.monotonic() < give_up_at, self.said[-2000:]
            try:
                self.said += os.read(self._master, 65536).decode("utf-8", "replace")
            except OSError:
                assert text in self.said, self.said[-2000:]
            self.note_children()

    def note_children(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self.family.update(psutil.Process(self.process.pid).children(recursive=True))

    def press_ctrl_c(self) -> None:
        self.note_children()
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        give_up_at = time.monotonic() + patient(30)
        while self.process.poll() is None:
            assert time.monotonic() < give_up_at, self.said[-2000:]
            try:
                self.said += os.read(self._master, 65536).decode("utf-8", "replace")
            except OSError:
                self.process.wait(patient(10))
        os.close(self._master)
        return self.process.returncode

    def assert_nothing_is_left(self) -> None:
        _, alive = psutil.wait_procs(list(self.family), timeout=patient(QUIET_S))
        assert alive == []


@pytest.mark.xdist_group("demo")
def test_the_demo_shows_its_results_and_stops_everything() -> None:
    demo = Terminal()
    demo.read_until("600 messages in, 600 answered, 0 dead")
    assert demo.end() == 0
    assert "accuracy" in demo.said
    assert "p99" in demo.said
    demo.assert_nothing_is_left()


@pytest.mark.full
@pytest.mark.xdist_group("demo")
@pytest.mark.parametrize(
    "moment", ["Starting Apache Kafka", "a broker for this demo alone", "topics", "replica-1", "%"]
)
def test_ctrl_c_at_any_moment_leaves_no_process_behind(moment: str) -> None:
    demo = Terminal()
    demo.read_until(moment)
    demo.press_ctrl_c()
    assert demo.end() == 130
    assert "Traceback" not in demo.said
    demo.assert_nothing_is_left()
