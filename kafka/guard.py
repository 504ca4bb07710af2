"""Kills the processes that a program started, when the program itself ends.

A guard process waits until the program's end of a pipe is closed. The kernel closes it even after
`kill -9`. Then the guard kills every process that inherited the program's token in its environment.
The guard spares clusters in the repository, because other programs may use them. A leased cluster
(`kafka.cluster.lease`) is stopped by the guard of its lease.
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

_TOKEN_VARIABLE = "STARTED_BY"  # noqa: S105 - the name of a variable
_ROOT = Path(__file__).resolve().parents[1]
_SPARED = (f"{_ROOT}/.cluster", "kafka.cluster.lease", "kafka.guard")
_TIMEOUT_S = 10.0


class Guard:
    """Starts a guard process for this process; `close` ends the guard.

    Processes that this process starts later inherit the token, unless they get an environment
    without the token.
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
        os.environ[_TOKEN_VARIABLE] = token

    def close(self) -> list[str]:
        """Makes the guard kill the processes that still run; returns their command lines."""
        output, _ = self._process.communicate()
        return output.splitlines()


def _guarded_processes(token: str) -> list[psutil.Process]:
    """Returns the live processes that have this token in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if process.environ().get(_TOKEN_VARIABLE) == token and not any(
                each in line for each in _SPARED
            ):
                found.append(process)
        except psutil.Error:  # the process has ended, or belongs to another user
            continue
    return found


def _kill_all(token: str) -> None:
    """Kills processes with this token until there are none, for ten seconds at most.

    One round is not enough, because a supervisor may start new processes meanwhile.
    """
    give_up_at = time.monotonic() + _TIMEOUT_S
    while (left := _guarded_processes(token)) and time.monotonic() < give_up_at:
        lines = []
        for process in left:
            with contextlib.suppress(psutil.Error):
                lines.append(" ".join(process.cmdline()))
                process.kill()
        # After `kill -9` of the program, no process reads the output.
        with contextlib.suppress(OSError):
            print(*lines, sep="\n", flush=True)
        psutil.wait_procs(left, timeout=1)


if __name__ == "__main__":
    sys.stdin.read()
    _kill_all(sys.argv[1])
