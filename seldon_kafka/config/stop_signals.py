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

# `signal.getsignal` is too slow for each call of the user model. Before Python 3.12, it raises and
# catches an exception for a handler that is a function. This is the C function behind it.
_handler_of: Callable[[int], Any] = importlib.import_module("_signal").getsignal


@contextlib.contextmanager
def stop_signals_calling(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` at SIGTERM and Ctrl-C; after the context, both signals are ignored.

    When Python exits, it restores the default handler of a signal that is not ignored. A second
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
    """Detects SIGTERM and Ctrl-C in a process whose main thread runs the user model.

    Python calls signal handlers in the main thread, between two bytecode instructions, and one
    instruction of a user model may take long. So another thread reads a file descriptor to which
    Python's C-level handler writes at once (`signal.set_wakeup_fd`).
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._requested = False
        self._user_handlers: Dict[int, Callable[[int, Any], Any]] = {}

    def install(self) -> None:
        """Installs the handler; the main thread calls this around each call of the user model.

        If the user model has replaced this handler by its own, a signal calls both of them.
        """
        for number in _NUMBERS:
            found = _handler_of(number)
            if found == self._handle:
                continue
            if callable(found) and found is not signal.default_int_handler:
                self._user_handlers[number] = found
            signal.signal(number, self._handle)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def requested(self) -> bool:
        """Returns whether a signal has arrived; any thread may call this."""
        if not self._requested:
            try:
                self._requested = any(number in _NUMBERS for number in os.read(self._read, 64))
            except BlockingIOError:
                return False
        return self._requested

    def ignore(self) -> None:
        """Ignores further signals while the process ends; only the main thread may call this."""
        signal.set_wakeup_fd(-1)
        for number in _NUMBERS:
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, number: int, frame: Any) -> None:
        self._requested = True
        user_handler = self._user_handlers.get(number)
        if user_handler is None:
            return
        try:
            user_handler(number, frame)
        except BaseException as error:
            # The handler may raise SystemExit. That is not needed, because the worker is stopping.
            log.info("the class's handler of signal %d raised %r", number, error)
