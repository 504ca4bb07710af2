"""A child process in its own session, so that Ctrl-C in the terminal does not reach it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence


class Process:
    """A child process, and the processes that it starts.

    Args:
        command: the program and its arguments.
        environment: all environment variables of the child.
        pass_fds: file descriptors that the child inherits.
    """

    def __init__(
        self, command: Sequence[str], environment: Dict[str, str], pass_fds: Sequence[int] = ()
    ) -> None:
        self._popen = subprocess.Popen(
            list(command),
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )

    @property
    def pid(self) -> int:
        """Process id of the child, which is also the id of its process group."""
        return self._popen.pid

    def poll(self) -> Optional[int]:
        """Returns the exit status, negative for a signal; None while the child runs."""
        return self._popen.poll()

    def children(self) -> int:
        """Returns how many processes the child has started that still run; 0 if not on Linux."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        try:
            return len(path.read_text("ascii").split())
        except OSError:
            return 0

    def memory_bytes(self) -> Optional[int]:
        """Returns the child's resident memory, in bytes; None if it is unknown (not on Linux)."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1]
        except (OSError, IndexError):
            return None
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def signal(self, number: int) -> None:
        """Sends a signal to the child only."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(number)

    def signal_group(self, number: int) -> None:
        """Sends a signal to the child and the processes that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def end(self) -> None:
        """Kills the child and the processes that it started."""
        self.signal_group(signal.SIGKILL)
        self._popen.wait()


def describe_exit(status: int) -> str:
    """Returns a description of an exit status."""
    if status < 0:
        try:
            return f"killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"killed by signal {-status}"
    return f"exit status {status}"


def reap_orphans(children: List[int]) -> None:
    """Reaps ended orphans, which the first process of a container inherits.

    Does nothing in any other process. An own child that has ended hides later orphans until other
    code has waited for the child.

    Args:
        children: process ids of own children, which other code waits for.
    """
    if os.getpid() != 1 or sys.platform != "linux":
        return
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in children:
            return
        os.waitpid(ended.si_pid, 0)
