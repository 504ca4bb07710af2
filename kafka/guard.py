"""Ends what a program has started on this machine when the program itself ends, whatever ends it.

A small process waits for the program's end of a pipe to close, which the kernel does even after
`kill -9`. Then it kills every process that has inherited the program's mark in its environment.
Clusters in the repository are left to their leases: others may use them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil

_MARK = "STARTED_BY"
_ROOT = Path(__file__).resolve().parents[1]
_NOT_OURS = (f"{_ROOT}/.cluster", "kafka.cluster.lease", "kafka.guard")
_WITHIN_S = 10.0


class Guard:
    """Guards this process until it is closed.

    Processes that this one starts from now on inherit the mark, unless they are given an
    environment without it.
    """

    def __init__(self) -> None:
        token = uuid.uuid4().hex
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kafka.guard", token],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal is not for the guard
        )
        os.environ[_MARK] = token

    def close(self) -> list[str]:
        """Ends what is left, and returns the command lines of it."""
        said, _ = self._process.communicate()
        return said.splitlines()


def _marked(token: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if process.environ().get(_MARK) == token and not any(
                each in line for each in _NOT_OURS
            ):
                found.append(process)
        except psutil.Error:  # it ended meanwhile, or is somebody else's
            continue
    return found


def _end(token: str) -> None:
    """Kills marked processes until there are none: a supervisor may start one meanwhile."""
    give_up_at = time.monotonic() + _WITHIN_S
    while (left := _marked(token)) and time.monotonic() < give_up_at:
        lines = []
        for process in left:
            with contextlib.suppress(psutil.Error):
                lines.append(" ".join(process.cmdline()))
                process.kill()
        # Who was killed reads nothing any more.
        with contextlib.suppress(OSError):
            print(*lines, sep="\n", flush=True)
        psutil.wait_procs(left, timeout=1)


if __name__ == "__main__":
    sys.stdin.read()
    _end(sys.argv[1])
