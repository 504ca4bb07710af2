"""Handlers of SIGTERM and Ctrl-C, which ask a process to exit."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
from typing import Any, Callable, Dict, Iterator

log = logging.getLogger("seldon_kafka.worker")

_NUMBERS = (signal.SIGTERM, signal.SIGINT)

# The function behind `signal.getsignal`. Before Python 3.12, the latter raises an exception
# internally for each handler of ours, which is too slow for each call of the user model.
_handler_of: Callable[[int], Any] = importlib.import_module("_signal").getsignal


@contextlib.contextmanager
def stop_signals_calling(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` at each of the signals; after the context they are ignored.

    At its end, Python restores the default handlers of signals that are not ignored. A second
    signal would then kill a process that has finished its work, and change its exit status.
    """
    for number in _NUMBERS:
        signal.signal(number, lambda *_: stop())
    try:
        yield
    finally:
        for number in _NUMBERS:
            signal.signal(number, signal.SIG_IGN)


class StopSignals:
    """SIGTERM and Ctrl-C in a process whose main thread runs the user model.

    Python calls signal handlers in the main thread, between two instructions, and a user model may
    stay in one instruction for long. So another thread reads the descriptor to which Python's
    handler in C writes at once (`signal.set_wakeup_fd`).
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._requested = False
        self._theirs: Dict[int, Callable[[int, Any], Any]] = {}

    def install(self) -> None:
        """Installs the handlers; the main thread calls it before and after calls of the user model.

        A handler that the user model has installed meanwhile is called after this one.
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
        """Returns whether a signal has arrived; any thread may call it."""
        if not self._requested:
            try:
                self._requested = any(number in _NUMBERS for number in os.read(self._read, 64))
            except BlockingIOError:
                return False
        return self._requested

    def ignore(self) -> None:
        """Ignores further signals while the process ends; the main thread calls it."""
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
            # The handler may want to end the process, which is about to end in order.
            log.info("the class's handler of signal %d raised %r", number, error)
