"""Ends the process, with the stacks of all its threads on stderr, when a call takes too long.

`faulthandler`'s own timer guards calls of the user model, because it fires even when the class
holds the interpreter's lock, which is when no thread of ours runs. There is one such timer in a
process. Calls to the brokers are looked after by the main thread while it has nothing else to do.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from typing import Optional


class Watchdog:
    """Deadlines of the two threads of a worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._timeout_s = 0.0
        self._wound_at = 0.0
        self._call_began_at: Optional[float] = None
        self._brokers_until: Optional[float] = None

    def wind(self, timeout_s: float) -> None:
        """Starts a call of the user model; the process ends if it takes a quarter longer than this.

        Args:
            timeout_s: seconds that the call may take.
        """
        now = time.monotonic()
        slack_s = timeout_s / 4
        if self._call_began_at is None:
            self._call_began_at = now
        # Winding starts a thread; within the slack the running one will do.
        if timeout_s != self._timeout_s or now - self._wound_at > slack_s:
            faulthandler.dump_traceback_later(timeout_s + slack_s, exit=True)
            self._timeout_s, self._wound_at = timeout_s, now

    def rest(self) -> None:
        """Ends the calls of the user model: none is under way."""
        if self._timeout_s:
            faulthandler.cancel_dump_traceback_later()
            self._timeout_s = 0.0
        if self._call_began_at is not None:
            # A class that holds the interpreter's lock holds up the calls to the brokers too.
            self._extend(time.monotonic() - self._call_began_at)
            self._call_began_at = None

    def watch_brokers(self, timeout_s: float) -> None:
        """Starts a call to the brokers, which may take so many seconds."""
        with self._lock:
            self._brokers_until = time.monotonic() + timeout_s

    def rest_brokers(self) -> None:
        """Ends the calls to the brokers: none is under way."""
        with self._lock:
            self._brokers_until = None

    def _extend(self, seconds: float) -> None:
        with self._lock:
            if self._brokers_until is not None:
                self._brokers_until += seconds

    def look(self) -> None:
        """Ends the process if a call to the brokers has not come back in time.

        The main thread calls this while no call of the user model is under way.
        """
        with self._lock:
            is_late = self._brokers_until is not None and time.monotonic() > self._brokers_until
        if is_late:
            print("a call to the brokers did not come back in time", file=sys.stderr)
            faulthandler.dump_traceback(all_threads=True)
            os._exit(1)
