"""Ends the process, with the stacks of all its threads on stderr, when a call takes too long.

`faulthandler`'s own timer is used because it fires even when the class holds the interpreter's
lock, which is when a thread of ours would not run.
"""

from __future__ import annotations

import faulthandler
import time


class Watchdog:
    """A timer that `wind` starts again and `rest` stops.

    Args:
        timeout_s: how long a call may take, in seconds; the process ends between this and a
            quarter more.
    """

    def __init__(self, timeout_s: float) -> None:
        self._slack_s = timeout_s / 4
        self._limit_s = timeout_s + self._slack_s
        self._wound_at = 0.0

    def wind(self) -> None:
        """A call begins."""
        now = time.monotonic()
        # Winding starts a thread; within the slack the running one will do.
        if now - self._wound_at > self._slack_s:
            faulthandler.dump_traceback_later(self._limit_s, exit=True)
            self._wound_at = now

    def rest(self) -> None:
        """No call is under way."""
        if self._wound_at:
            faulthandler.cancel_dump_traceback_later()
            self._wound_at = 0.0
