"""Ends the process when a guarded thread misses its deadline, and prints all stacks.

`faulthandler`'s timer guards calls of the user model in the main thread: it fires even while the
user model holds the interpreter's lock and no other thread runs. A process has one such timer.

The main thread guards the I/O thread's calls to the brokers, but only while no call of the user
model is under way. A user model that holds the lock also delays the I/O thread, and must not be
mistaken for brokers that do not answer.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from typing import Optional


class Watchdog:
    """The deadlines of the main thread and of the I/O thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._timeout_s = 0.0
        self._armed_at = 0.0
        self._calls_began_at: Optional[float] = None
        self._io_deadline: Optional[float] = None

    def guard_model(self, timeout_s: float) -> None:
        """Sets the deadline of a call of the user model: 1 to 1.25 times its time limit from now.

        Args:
            timeout_s: time limit of the call, in seconds.
        """
        now = time.monotonic()
        slack_s = timeout_s / 4
        if self._calls_began_at is None:
            self._calls_began_at = now
        # Each new timer starts a thread. So a timer that an earlier call started is kept while it
        # leaves this call its whole time limit.
        if timeout_s != self._timeout_s or now - self._armed_at > slack_s:
            faulthandler.dump_traceback_later(timeout_s + slack_s, exit=True)
            self._timeout_s, self._armed_at = timeout_s, now

    def release_model(self) -> None:
        """Clears the deadline of the user model after its calls.

        The deadline of the I/O thread is extended by the time of these calls.
        """
        if self._timeout_s:
            faulthandler.cancel_dump_traceback_later()
            self._timeout_s = 0.0
        if self._calls_began_at is not None:
            with self._lock:
                if self._io_deadline is not None:
                    self._io_deadline += time.monotonic() - self._calls_began_at
            self._calls_began_at = None

    def guard_io(self, timeout_s: float) -> None:
        """Sets the deadline of a call of the I/O thread to the brokers.

        Args:
            timeout_s: time limit of the call, in seconds.
        """
        with self._lock:
            self._io_deadline = time.monotonic() + timeout_s

    def release_io(self) -> None:
        """Clears the deadline after a call to the brokers."""
        with self._lock:
            self._io_deadline = None

    def check_io(self) -> None:
        """Ends the process if a call to the brokers has missed its deadline.

        The main thread calls this while no call of the user model is under way.
        """
        with self._lock:
            is_late = self._io_deadline is not None and time.monotonic() > self._io_deadline
        if is_late:
            print("a call to the brokers did not return in time", file=sys.stderr)
            faulthandler.dump_traceback(all_threads=True)
            os._exit(1)
