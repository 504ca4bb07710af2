"""Starts, watches and restarts one worker of the supervisor."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Dict, List, Optional

from seldon_kafka.supervisor.process import Process, describe_exit
from seldon_kafka.worker.status import EXIT_STOPPED, READY, WorkerStatus, parse_status

QUICK_DEATHS = 5
"""Number of consecutive deaths without a commit after which a worker is not restarted."""

_EXIT_WRONG_USE = 2
_RESTART_MOST_S = 5.0


class GaveUp(Exception):
    """A worker died and is not restarted; the text says why."""


class WorkerSlot:
    """Runs one worker, and restarts it when it dies.

    Args:
        class_name: the wrapper class.
        index: index of the worker among those of the supervisor.
        environment: all environment variables of the worker.

    Attributes:
        index: index of the worker.
        status: last status that the worker sent.
        restarts: number of restarts after the worker died.
    """

    def __init__(self, class_name: str, index: int, environment: Dict[str, str]) -> None:
        self.index = index
        self.status = WorkerStatus()
        self.restarts = 0
        self._class_name = class_name
        self._environment = environment
        self._process: Optional[Process] = None
        self._pipe: Optional[int] = None
        self._unread = b""
        self._quick_deaths = 0
        self._start_at = 0.0
        self._why_stopped = ""

    @property
    def pid(self) -> Optional[int]:
        """Process id of the worker; None while it does not run."""
        return self._process.pid if self._process is not None else None

    @property
    def memory_bytes(self) -> Optional[int]:
        """Resident memory of the running worker, in bytes; None if it is unknown."""
        return self._process.memory_bytes() if self._process is not None else None

    @property
    def is_ready(self) -> bool:
        """Whether the worker runs, and its last status is `ready`."""
        return self._process is not None and self.status.state == READY

    def start(self) -> None:
        """Starts the worker."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        command: List[str] = [sys.executable, "-m", "seldon_kafka", "worker"]
        command += [self._class_name, "--index", str(self.index), "--status-fd", str(writer)]
        self._process = Process(command, self._environment, pass_fds=[writer])
        os.close(writer)
        self._pipe = reader
        self.status = WorkerStatus()

    def check(self) -> Optional[str]:
        """Reads the worker's status, and restarts a worker that died, after a delay.

        Returns:
            A description of the exit if the worker ended since the last call, or None.

        Raises:
            GaveUp: the worker keeps dying without a commit, or refuses its settings.
        """
        self._read()
        if self._process is None:
            if time.monotonic() >= self._start_at and not self.stopped_on_purpose:
                self.start()
            return None
        status = self._process.poll()
        if status is None:
            return None
        # Processes of the user model may hold the worker's lock, so they must end with the worker.
        self._process.end()
        pid, self._process = self._process.pid, None
        self._read()
        self._close_pipe()
        return self._died(pid, status)

    @property
    def stopped_on_purpose(self) -> bool:
        """Whether the worker ended with `EXIT_STOPPED`, so that an operator must act."""
        return self._process is None and bool(self._why_stopped)

    @property
    def why_stopped(self) -> str:
        """The reason why the worker ended with `EXIT_STOPPED`; empty if it did not."""
        return self._why_stopped

    def _died(self, pid: int, status: int) -> str:
        death = f"worker {self.index} (process {pid}): {describe_exit(status)}"
        if status == EXIT_STOPPED:
            self._why_stopped = self.status.detail
            return f"{death}: {self._why_stopped}"
        if status == _EXIT_WRONG_USE:
            raise GaveUp(f"{death}; the message above says what to fix")
        self._quick_deaths = 0 if self.status.progress else self._quick_deaths + 1
        if self._quick_deaths >= QUICK_DEATHS:
            raise GaveUp(f"{death}; it died {QUICK_DEATHS} times in a row without progress")
        wait_s = 0.0 if self._quick_deaths < 2 else 0.25 * 2**self._quick_deaths
        self._start_at = time.monotonic() + min(wait_s, _RESTART_MOST_S)
        self.restarts += 1
        return death

    def stop(self) -> None:
        """Asks the worker to finish its batch and exit."""
        if self._process is not None:
            self._process.signal(signal.SIGTERM)

    def has_left(self) -> bool:
        """Returns whether the worker has ended; kills the processes that it left behind."""
        if self._process is not None and self._process.poll() is not None:
            self.end()
        return self._process is None

    def end(self) -> None:
        """Kills the worker and the processes that it started."""
        if self._process is not None:
            self._process.end()
            self._process = None
            self._close_pipe()

    def _read(self) -> None:
        if self._pipe is None:
            return
        try:
            chunk = os.read(self._pipe, 65536)
        except BlockingIOError:
            return
        lines = (self._unread + chunk).split(b"\n")
        self._unread = lines.pop()
        for line in lines:
            status = parse_status(line)
            if status is not None:
                self.status = status

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe, self._unread = None, b""
