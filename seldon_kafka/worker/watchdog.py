"""Ends the process when a call takes too long, and prints the stacks of all threads.

`faulthandler`'s timer guards calls of the user model: it fires even while the user model holds the
interpreter's lock and no other thread runs. A process has one such timer. The main thread guards
calls to the brokers while it is idle.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from typing import Optional


class Watchdog:
    """The deadlines of the main thread and the I/O thread of a worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._timeout_s = 0.0
        self._wound_at = 0.0
        self._call_began_at: Optional[float] = None
        self._brokers_until: Optional[float] = None

    def wind(self, timeout_s: float) -> None:
        """Sets the deadline of a call of the user model: its time limit and a quarter more.

        Args:
            timeout_s: time limit of the call, in seconds.
        """
        now = time.monotonic()
        slack_s = timeout_s / 4
        if self._call_began_at is None:
            self._call_began_at = now
        # A new timer starts a thread. Within the slack, the running timer is kept.
        if timeout_s != self._timeout_s or now - self._wound_at > slack_s:
            faulthandler.dump_traceback_later(timeout_s + slack_s, exit=True)
            self._timeout_s, self._wound_at = timeout_s, now

    def rest(self) -> None:
        """Clears the deadline of the user model: no call is under way."""
        if self._timeout_s:
            faulthandler.cancel_dump_traceback_later()
            self._timeout_s = 0.0
        if self._call_began_at is not None:
            # A user model that holds the interpreter's lock delays calls to the brokers too.
            self._extend(time.monotonic() - self._call_began_at)
            self._call_began_at = None

    def watch_brokers(self, timeout_s: float) -> None:
        """Sets the deadline of a call to the brokers, in seconds from now."""
        with self._lock:
            self._brokers_until = time.monotonic() + timeout_s

    def rest_brokers(self) -> None:
        """Clears the deadline of the brokers: no call is under way."""
        with self._lock:
            self._brokers_until = None

    def _extend(self, seconds: float) -> None:
        with self._lock:
            if self._brokers_until is not None:
                self._brokers_until += seconds

    def look(self) -> None:
        """Ends the process if a call to the brokers has missed its deadline.

        The main thread calls this while no call of the user model is under way.
        """
        with self._lock:
            is_late = self._brokers_until is not None and time.monotonic() > self._brokers_until
        if is_late:
            print("a call to the brokers did not come back in time", file=sys.stderr)
            faulthandler.dump_traceback(all_threads=True)
            os._exit(1)
