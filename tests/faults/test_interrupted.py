"""Ctrl-C during a fault ends the whole run, and its injections."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.patience import patient

ROOT = Path(__file__).resolve().parents[2]


class HarnessRun:
    """A run of the harness in a session of its own, with its output so far."""

    def __init__(self) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("KAFKA_")}
        command = (sys.executable, "-m", "tests.faults", "--only", "whole replica")
        self.process = subprocess.Popen(
            [*command, "--backlog", "5000", "--minutes", "1"],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line

    def end(self) -> int:
        """Waits until the run has ended and its output is read; returns the exit status."""
        status = self.process.wait(patient(60))
        self._reader.join(patient(10))
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def folder(self) -> str:
        """Returns the folder of its logs and brokers, once it was printed."""
        found = re.search(r"logs in (\S+)", self.output)
        return found.group(1) if found else ""

    def supervisors(self) -> list[psutil.Process]:
        """Returns the supervisors of its replicas."""
        return [
            p
            for p in processes()
            if self._is_of_it(p) and words(p)[1:4] == ["-m", "seldon_kafka", "serve"]
        ]

    def left(self) -> list[list[str]]:
        """Returns the command lines of its processes that still run."""
        return [words(p) for p in processes() if p.pid != os.getpid() and self._is_of_it(p)]

    def _is_of_it(self, process: psutil.Process) -> bool:
        folder = self.folder()
        try:
            return bool(folder) and (
                process.environ().get("FAULTS_FOLDER") == folder
                or any(folder in word for word in process.cmdline())
            )
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            return False


def processes() -> list[psutil.Process]:
    return list(psutil.process_iter())


def words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def wait_for(condition: Callable[[], bool], run: HarnessRun, within_s: float) -> None:
    give_up_at = time.monotonic() + patient(within_s)
    while not condition():
        assert run.process.poll() is None, run.output
        assert time.monotonic() < give_up_at, run.output
        time.sleep(0.1)


@pytest.mark.full
@pytest.mark.timeout(240)
@pytest.mark.xdist_group("faults")
def test_an_interrupted_run_leaves_no_process() -> None:
    run = HarnessRun()
    try:
        wait_for(lambda: "messages a second" in run.output, run, 120)
        assert len(run.supervisors()) == 2
        wait_for(lambda: len(run.supervisors()) == 1, run, 60)
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 130, run.output
    finally:
        run.process.terminate()
        run.process.wait(patient(60))
    assert "interrupted: ending the injections" in run.output
    assert "Traceback" not in run.output
    assert run.left() == []
