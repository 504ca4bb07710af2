"""Formats values for a terminal, and prints progress."""

from __future__ import annotations

import sys
import time

_EVERY_S = 2.0


def plain(text: str) -> str:
    """Escapes control characters, so that text from a sender can't control the terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def when(timestamp_ms: int) -> str:
    """Converts milliseconds since 1970 to local time, in a form that `--since` accepts."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp_ms / 1000))
    except (OverflowError, OSError, ValueError):
        # A sender can set any timestamp.
        return f"{timestamp_ms} ms after 1970"


def count(number: int, noun: str = "dead letter") -> str:
    """Returns a number with its noun: `1 dead letter`, `2 dead letters`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


class Notice:
    """Writes a progress line to stderr at most every two seconds."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _EVERY_S

    def update(self, what: str, done: int, total: int = 0) -> None:
        """Writes a progress line, unless the last one is less than two seconds old.

        Args:
            what: text before the numbers.
            done: number of finished items.
            total: number of all items; 0 if it is unknown.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY_S
        of = f" of {total:,}" if total else ""
        print(f"{what} {done:,}{of}", file=sys.stderr, flush=True)
