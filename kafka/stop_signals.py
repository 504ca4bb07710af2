"""SIGTERM and Ctrl-C, which ask a process to leave."""

from __future__ import annotations

import contextlib
import signal
from typing import Callable, Iterator

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def heeding_stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` at each of the signals; afterwards they are ignored.

    While Python ends, it gives signals their default meaning back, unless they are ignored: one
    that came twice would kill a process that has done all that it was to do, and its exit status
    would tell of it.
    """
    for number in _NUMBERS:
        signal.signal(number, lambda *_: stop())
    try:
        yield
    finally:
        for number in _NUMBERS:
            signal.signal(number, signal.SIG_IGN)
