"""Ends the process, with the stacks of all its threads on stderr, when a call takes too long.

`faulthandler`'s own timer is used because it fires even when the class holds the interpreter's
lock, which is when a thread of ours would not run. There is one such timer in a process.
"""

from __future__ import annotations

import faulthandler
import threading
import time


class Watchdog:
    """A timer that `wind` starts again and `rest` stops, from whichever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._timeout_s = 0.0
        self._wound_at = 0.0

    def wind(self, timeout_s: float) -> None:
        """A call begins; the process ends if it takes longer than this, or a quarter more."""
        now = time.monotonic()
        slack_s = timeout_s / 4
        with self._lock:
            # Winding starts a thread; within the slack the running one will do.
            if timeout_s != self._timeout_s or now - self._wound_at > slack_s:
                faulthandler.dump_traceback_later(timeout_s + slack_s, exit=True)
                self._timeout_s, self._wound_at = timeout_s, now

    def rest(self) -> None:
        """No call is under way."""
        with self._lock:
            if self._timeout_s:
                faulthandler.cancel_dump_traceback_later()
                self._timeout_s = 0.0
