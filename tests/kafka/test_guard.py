"""The processes that a program started end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.patience import patient

ROOT = Path(__file__).resolve().parents[2]
# It starts a process with a child, in a session of its own, as tests start supervisors.
PROGRAM = """
import subprocess, sys, time
from kafka.guard import Guard
guard = Guard()
child = [sys.executable, "-c", "import time; time.sleep(600)"]
code = f"import subprocess; subprocess.Popen({child}).wait()"
started = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
print(started.pid, flush=True)
if sys.argv[1] == "wait":
    time.sleep(600)
print(*guard.close(), sep="\\n", flush=True)
"""


def program(mode: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, mode], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_processes_end_with_the_program_that_started_them(number: signal.Signals) -> None:
    with program("wait") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        os.kill(process.pid, number)
        process.wait(patient(10))
    _, alive = psutil.wait_procs(family, timeout=patient(10))
    assert alive == []


def test_the_guard_reports_the_processes_that_it_kills() -> None:
    with program("leave") as process:
        assert process.stdout is not None
        process.stdout.readline()
        output = process.stdout.read()
    assert "time.sleep(600)" in output
