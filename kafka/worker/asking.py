"""Asks the class about a batch, at once or in a thread of its own."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
from typing import Any, Callable, Optional

from kafka.pipeline import Work
from kafka.reasons import Retriable

# A thread that comes back from the class, or from a step of numpy, waits so long for the
# interpreter's lock, some ten times for each batch; Python's own 5 ms would cost more than is won.
# It is the whole process's, threads of the class included.
_SWITCH_S = 0.00003


class Asked:
    """A batch that the class has been asked about.

    Attributes:
        work: the batch.
        seconds: how long the class took, once it is done.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.seconds = 0.0
        self._done = threading.Event()
        self._error: Optional[BaseException] = None
        self._is_dropped = False

    def drop(self) -> None:
        """Nobody wants the answer any more: the class need not begin."""
        self._is_dropped = True

    def let_end(self) -> None:
        """Waits until the class is done, whatever came of it."""
        self._done.wait()

    def run(self, predict: Callable[[Work], None]) -> None:
        """Asks, and keeps what is raised for whoever waits."""
        started = time.monotonic()
        try:
            if not self._is_dropped:
                predict(self.work)
        except BaseException as error:
            self._error = error
        self.seconds = time.monotonic() - started
        self._done.set()

    def wait(self) -> None:
        """Waits until the class is done.

        Raises:
            Retriable: the class met passing trouble.
            Exception: what else was raised.
        """
        self._done.wait()
        if self._error is not None:
            raise self._error


class Asking:
    """Has the class asked.

    The thread is always the same one, and is made when it is first needed: classes whose models
    belong to a thread see two at most, that which made them and this one.

    Args:
        predict: asks the class about a batch.
    """

    def __init__(self, predict: Callable[[Work], None]) -> None:
        self._predict = predict
        self._waiting: Any = queue.SimpleQueue()
        self._thread: Optional[threading.Thread] = None

    def ask(self, work: Work, *, in_thread: bool) -> Asked:
        """Asks about a batch: in the thread, or before this returns.

        Raises:
            Exception: what is raised before this returns, but `Retriable`: waiting raises that.
        """
        asked = Asked(work)
        if not in_thread:
            asked.run(self._predict)
            with contextlib.suppress(Retriable):
                asked.wait()
            return asked
        if self._thread is None:
            sys.setswitchinterval(_SWITCH_S)
            # It holds nobody up who leaves: a batch that is asked about is waited for before.
            self._thread = threading.Thread(target=self._serve, name="predict", daemon=True)
            self._thread.start()
        self._waiting.put(asked)
        return asked

    def _serve(self) -> None:
        while True:
            self._waiting.get().run(self._predict)
