"""What was done, as commands: each with its output, bounded, for all pages to see."""

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

from consumer.dashboard.fleet import Action, Say

ROOT = Path(__file__).resolve().parents[2]
_KEPT = 60
_LINES = 200
_LINE_CHARACTERS = 2000
_AT_ONCE = 8
_GRACE_S = 10.0
# As a shell has it for Ctrl-C.
_INTERRUPTED = 130


class Entry:
    """A command that runs, or ran.

    Attributes:
        number: Counts up.
        command: As it is typed on a shell.
        status: Its exit status; None while it runs.
        said: How many lines it has written.
    """

    def __init__(self, number: int, command: str) -> None:
        self.number = number
        self.command = command
        self.status: int | None = None
        self.said = 0
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._lock = threading.Lock()

    @property
    def output(self) -> str:
        """The end of what it wrote."""
        with self._lock:
            return "\n".join(self._lines)

    def say(self, text: str) -> None:
        """Take output in."""
        with self._lock:
            for line in text.rstrip("\n").split("\n"):
                self._lines.append(line[:_LINE_CHARACTERS])
                self.said += 1


class Console:
    """Runs actions in the background, and remembers them; safe to use from several threads."""

    def __init__(self) -> None:
        """Start empty."""
        self.entries: deque[Entry] = deque(maxlen=_KEPT)
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="console")
        self._next = 1
        self._lock = threading.Lock()

    @property
    def version(self) -> tuple[int, int, int]:
        """Changes whenever there is something new to see."""
        with self._lock:
            entries = list(self.entries)
        running = sum(entry.status is None for entry in entries)
        return self._next, running, sum(entry.said for entry in entries)

    def run(self, action: Action) -> Future[int]:
        """Start an action; the future has its exit status."""
        with self._lock:
            entry = Entry(self._next, action.command)
            self._next += 1
            self.entries.append(entry)
        return self._pool.submit(self._run, action, entry)

    def close(self) -> None:
        """Wait for nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _run(action: Action, entry: Entry) -> int:
        try:
            entry.status = action.run(entry.say)
        except Exception as error:
            entry.say(f"error: {error}")
            entry.status = 1
        return entry.status


class Program:
    """A program of ours that is run as a person would run it, and can be ended early."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        """Describe it.

        Args:
            arguments: `["kafka.replicas", "kill", "replica-1"]`.
            environment: Variables beside this process's own.
        """
        self._arguments = list(arguments)
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[str] | None = None
        self._interrupted = False
        self._over = False
        # Between the moment that it starts and the one that it is told to end.
        self._lock = threading.Lock()

    @property
    def action(self) -> Action:
        """The program as an action."""
        words = ["python", "-m", *self._arguments]
        if self._arguments[0] == "seldon_kafka":
            words[:3] = ["seldon-kafka"]
        return Action(shlex.join(words), self.run)

    @property
    def over(self) -> bool:
        """Whether it ran to its end, or could not be started."""
        return self._over

    def run(self, say: Say) -> int:
        """Run it to its end.

        Raises:
            OSError: It can't be started.
        """
        try:
            return self._run(say)
        finally:
            self._over = True

    def interrupt(self) -> None:
        """Ctrl-C; if it waits for its turn it will not begin."""
        with self._lock:
            self._interrupted = True
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """Ctrl-C, and the end if that does not help."""
        self.interrupt()
        if self._process is not None:
            try:
                self._process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _run(self, say: Say) -> int:
        with self._lock:
            if self._interrupted:
                say("stopped before it began")
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
                say(line)
        return process.returncode
