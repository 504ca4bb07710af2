"""SIGTERM and Ctrl-C, which ask a process to leave."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
from typing import Any, Callable, Dict, Iterator

log = logging.getLogger("seldon_kafka.worker")

_NUMBERS = (signal.SIGTERM, signal.SIGINT)

# What `signal.getsignal` calls. Before Python 3.12 that looks each handler up among its names for
# the default ones, and raises an exception for any other: too slow for each call of the class.
_handler_of: Callable[[int], Any] = importlib.import_module("_signal").getsignal


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


class StopSignals:
    """SIGTERM and Ctrl-C of a process whose main thread runs code that is not ours.

    Python calls signal handlers in the main thread, between two of its steps. A user model may
    stay in one step for long, so another thread learns of a signal by the descriptor to which
    Python's handler in C writes at once (`signal.set_wakeup_fd`).
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._requested = False
        self._theirs: Dict[int, Callable[[int, Any], Any]] = {}

    def install(self) -> None:
        """Installs the handlers; the main thread calls this before and after the class is called.

        A handler that the class has set in the meantime is kept, and called after ours.
        """
        for number in _NUMBERS:
            found = _handler_of(number)
            if found == self._handle:
                continue
            if callable(found) and found is not signal.default_int_handler:
                self._theirs[number] = found
            signal.signal(number, self._handle)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def requested(self) -> bool:
        """Whether a signal came; any thread may ask."""
        if not self._requested:
            try:
                self._requested = any(number in _NUMBERS for number in os.read(self._read, 64))
            except BlockingIOError:
                return False
        return self._requested

    def ignore(self) -> None:
        """Ignores further signals while the process ends; called by the main thread."""
        signal.set_wakeup_fd(-1)
        for number in _NUMBERS:
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, number: int, frame: Any) -> None:
        self._requested = True
        theirs = self._theirs.get(number)
        if theirs is None:
            return
        try:
            theirs(number, frame)
        except BaseException as error:
            # It may want to end the process, which is about to end in good order.
            log.info("the class's handler of signal %d raised %r", number, error)
