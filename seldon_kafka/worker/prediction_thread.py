"""Hands batches to the thread that runs the user model, and takes them back."""

from __future__ import annotations

import queue
import sys
import threading
import time
from typing import Any, Callable, Optional

from seldon_kafka.pipeline.pipeline import Work

# A thread that comes back from the class, or from a step of numpy, waits so long for the
# interpreter's lock, some ten times for each batch; Python's own 5 ms would cost more than is won.
# It is the whole process's, threads of the class included.
_SWITCH_S = 0.00003
_LOOK_EVERY_S = 0.5
# Shorter than this it is not idle: resting and working by turns costs time as well.
_REST_AFTER_S = 0.02


class PendingBatch:
    """A batch that the user model has been asked about.

    Attributes:
        work: the batch.
        messages: how many it held when it was asked about.
        seconds: how long the class took, once it is done.
    """

    def __init__(self, work: Work, generation: int) -> None:
        self.work = work
        self.messages = len(work.records)
        self.seconds = 0.0
        self.generation = generation
        # The main thread lets it go when it is done: half of an event's time.
        self._under_way = threading.Lock()
        self._under_way.acquire()
        self._error: Optional[BaseException] = None
        self._is_dropped = False

    @property
    def is_cut(self) -> bool:
        """Whether only the first messages of the batch were answered."""
        return len(self.work.records) < self.messages

    @property
    def is_whole(self) -> bool:
        """Whether every message of the batch was answered or rejected."""
        return self._error is None and not self.is_cut and not self._is_dropped

    def drop(self) -> None:
        """Cancels the prediction if it has not started."""
        self._is_dropped = True

    def wait_ended(self) -> None:
        """Waits until the class is done, whatever came of it."""
        with self._under_way:
            pass

    def run(self, predict: Callable[[Work], None]) -> None:
        """Calls the class, and keeps what is raised for the thread that waits."""
        started = time.monotonic()
        try:
            if not self._is_dropped:
                predict(self.work)
        except BaseException as error:
            self._error = error
        self.seconds = time.monotonic() - started
        self._under_way.release()

    def wait(self) -> None:
        """Waits until the class is done.

        Raises:
            Retriable: the class met a temporary error.
            Exception: what else was raised.
        """
        self.wait_ended()
        if self._error is not None:
            raise self._error


class PredictionThread:
    """The queue between the I/O thread and the main thread, which runs the user model.

    Args:
        predict: runs the user model on a batch.
        idle: called in the main thread again and again while nothing waits for it.
    """

    def __init__(self, predict: Callable[[Work], None], idle: Callable[[], None]) -> None:
        self._predict = predict
        self._idle = idle
        self._waiting: Any = queue.SimpleQueue()
        self._generation = 0
        self._stopped_at = -1

    def submit(self, work: Work) -> PendingBatch:
        """Adds a batch to the queue."""
        pending = PendingBatch(work, self._generation)
        self._waiting.put(pending)
        return pending

    @property
    def has_more(self) -> bool:
        """Whether another batch waits in the queue."""
        return not self._waiting.empty()

    def restart(self) -> None:
        """Batches that are asked about from now on do not follow those before."""
        self._generation += 1

    def close(self) -> None:
        """Ends `serve` after the batches that wait."""
        self._waiting.put(None)

    def _next(self) -> Optional[PendingBatch]:
        """The next batch, once there is one; None after `close`."""
        wait_s = _REST_AFTER_S
        while True:
            try:
                pending: Optional[PendingBatch] = self._waiting.get(timeout=wait_s)
                return pending
            except queue.Empty:
                self._idle()
                wait_s = _LOOK_EVERY_S

    def serve(self) -> None:
        """Runs the user model on one batch after the other until `close`.

        The thread that calls this is the one that made the class. After a batch that was not
        answered as a whole, those that follow it are left until `restart`: the class is called
        with messages in their order.
        """
        sys.setswitchinterval(_SWITCH_S)
        while True:
            pending = self._next()
            if pending is None:
                return
            if pending.generation == self._stopped_at:
                pending.drop()
            pending.run(self._predict)
            if not pending.is_whole:
                self._stopped_at = pending.generation
