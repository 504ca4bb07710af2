"""How values are written to a terminal."""

from __future__ import annotations

import sys
import time

_EVERY_S = 2.0


def plain(text: str) -> str:
    """Text in which what a sender wrote can't steer the terminal: control characters escaped."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def when(timestamp_ms: int) -> str:
    """A time, milliseconds since 1970, in local time; `--since` takes it as it is written."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp_ms / 1000))
    except (OverflowError, OSError, ValueError):
        # Senders may write any number.
        return f"{timestamp_ms} ms after 1970"


def count(number: int, noun: str = "dead letter") -> str:
    """A number with its noun: `1 dead letter`, `2 dead letters`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


class Notice:
    """Writes a line to stderr every two seconds, and none for work that takes less."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _EVERY_S

    def tell(self, what: str, done: int, total: int = 0) -> None:
        """So much is done, of a total where that is known."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY_S
        of = f" of {total:,}" if total else ""
        print(f"{what} {done:,}{of}", file=sys.stderr, flush=True)
