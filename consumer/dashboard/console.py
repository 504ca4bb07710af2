"""Runs commands for all pages, and keeps the last lines of their output."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from consumer.dashboard.fleet import Action, Output

ROOT = Path(__file__).resolve().parents[2]
_MOST_ENTRIES = 60
_MOST_LINES = 200
_LINE_CHARACTERS = 2000
_AT_ONCE = 8
_GRACE_S = 10.0
# The exit status that a shell reports after Ctrl-C.
_INTERRUPTED = 130


class Entry:
    """A running or finished command.

    Args:
        number: number of the command.
        command: the command line for a shell.

    Attributes:
        number: number of the command.
        command: the command line for a shell.
        status: exit status of the command; None while it waits or runs.
        lines_written: number of lines that the command has written.
    """

    def __init__(self, number: int, command: str) -> None:
        self.number = number
        self.command = command
        self.status: int | None = None
        self.lines_written = 0
        self._lines: deque[str] = deque(maxlen=_MOST_LINES)
        self._lock = threading.Lock()

    @property
    def output(self) -> str:
        """The last lines of the command's output."""
        with self._lock:
            return "\n".join(self._lines)

    def write(self, text: str) -> None:
        """Adds lines of output; long lines are cut."""
        with self._lock:
            for line in text.rstrip("\n").split("\n"):
                self._lines.append(line[:_LINE_CHARACTERS])
                self.lines_written += 1


class Console:
    """Runs actions in threads; safe to use from several threads.

    Attributes:
        entries: the latest commands, in order.
    """

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=_MOST_ENTRIES)
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="console")
        self._next = 1
        self._lock = threading.Lock()

    @property
    def version(self) -> tuple[int, int, int]:
        """A value that changes with each new command, line of output and exit status."""
        with self._lock:
            entries = list(self.entries)
        running = sum(entry.status is None for entry in entries)
        return self._next, running, sum(entry.lines_written for entry in entries)

    def run(self, action: Action) -> Future[int]:
        """Starts an action, and returns a future of its exit status."""
        with self._lock:
            entry = Entry(self._next, action.command)
            self._next += 1
            self.entries.append(entry)
        return self._pool.submit(self._run, action, entry)

    def close(self) -> None:
        """Cancels waiting actions; running actions continue."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _run(action: Action, entry: Entry) -> int:
        try:
            entry.status = action.run(entry.write)
        except Exception as error:
            entry.write(f"error: {error}")
            entry.status = 1
        return entry.status


class Program:
    """A Python module of this project that runs as a process, and can be interrupted.

    Args:
        arguments: module and arguments, such as `["kafka.replicas", "kill", "replica-1"]`.
        environment: variables of the program, in addition to the environment of the dashboard.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._arguments = list(arguments)
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[str] | None = None
        self._interrupted = False
        self._has_ended = False
        # The lock is held while the process starts, so that an interrupt is never lost.
        self._lock = threading.Lock()

    @property
    def action(self) -> Action:
        """The action that runs the program."""
        words = ["python", "-m", *self._arguments]
        if self._arguments[0] == "seldon_kafka":
            words[:3] = ["seldon-kafka"]
        return Action(shlex.join(words), self.run)

    @property
    def has_ended(self) -> bool:
        """Whether the program has ended, or could not be started."""
        return self._has_ended

    def run(self, output: Output) -> int:
        """Runs the program to its end, and returns its exit status.

        If `interrupt` was called before, the program is not started, and the status is 130.

        Raises:
            OSError: the program can't be started.
        """
        try:
            return self._run(output)
        finally:
            self._has_ended = True

    def interrupt(self) -> None:
        """Sends SIGINT; a program that has not started yet will not start."""
        with self._lock:
            self._interrupted = True
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """Sends SIGINT, and kills the program if it still runs after ten seconds."""
        self.interrupt()
        if self._process is not None:
            try:
                self._process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _run(self, output: Output) -> int:
        with self._lock:
            if self._interrupted:
                output("stopped before it started")
                return _INTERRUPTED
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._arguments],
                cwd=ROOT,
                env={**os.environ, **self._environment, "PYTHONUNBUFFERED": "1", "COLUMNS": "100"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        with self._process as process:
            assert process.stdout is not None
            for line in process.stdout:
                output(line)
        return process.returncode
