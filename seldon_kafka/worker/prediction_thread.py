"""The prediction thread, which runs the user model, and the queue of batches in front of it."""

from __future__ import annotations

import queue
import sys
import threading
import time
from typing import Any, Callable, Optional

from seldon_kafka.pipeline.pipeline import Batch

# A thread that returns from the user model or from numpy waits this long for the interpreter lock,
# about ten times for each batch. Python's default of 5 ms costs more than the second thread gains.
# The setting holds for the whole process, threads of the user model included.
_SWITCH_S = 0.00003
_LOOK_EVERY_S = 0.5
# A shorter pause does not count as idle: stopping and starting the watchdog costs time too.
_REST_AFTER_S = 0.02


class PendingBatch:
    """A batch that was submitted to the prediction thread.

    Attributes:
        batch: the batch.
        messages: number of messages when it was submitted.
        seconds: duration of the prediction, once it has ended.
    """

    def __init__(self, batch: Batch, generation: int) -> None:
        self.batch = batch
        self.messages = len(batch.records)
        self.seconds = 0.0
        self.generation = generation
        # The prediction thread releases it at the end. A lock takes half of the time of an event.
        self._under_way = threading.Lock()
        self._under_way.acquire()
        self._error: Optional[BaseException] = None
        self._is_dropped = False

    @property
    def is_cut(self) -> bool:
        """Whether only the first messages of the batch were answered."""
        return len(self.batch.records) < self.messages

    @property
    def is_whole(self) -> bool:
        """Whether every message of the batch was answered or rejected."""
        return self._error is None and not self.is_cut and not self._is_dropped

    def drop(self) -> None:
        """Cancels the prediction if it has not started."""
        self._is_dropped = True

    def wait_ended(self) -> None:
        """Waits until the prediction has ended, with or without an error."""
        with self._under_way:
            pass

    def run(self, predict: Callable[[Batch], None]) -> None:
        """Runs the prediction, and stores its error for the waiting thread."""
        started = time.monotonic()
        try:
            if not self._is_dropped:
                predict(self.batch)
        except BaseException as error:
            self._error = error
        self.seconds = time.monotonic() - started
        self._under_way.release()

    def wait(self) -> None:
        """Waits until the prediction has ended.

        Raises:
            Retriable: the user model met a temporary error.
            Exception: any other error of the prediction.
        """
        self.wait_ended()
        if self._error is not None:
            raise self._error


class PredictionThread:
    """Runs the user model on submitted batches, in their order, in the main thread.

    Args:
        predict: runs the user model on a batch.
        idle: called in the main thread at intervals while no batch waits.
    """

    def __init__(self, predict: Callable[[Batch], None], idle: Callable[[], None]) -> None:
        self._predict = predict
        self._idle = idle
        self._waiting: Any = queue.SimpleQueue()
        self._generation = 0
        self._stopped_at = -1

    def submit(self, batch: Batch) -> PendingBatch:
        """Adds a batch to the queue."""
        pending = PendingBatch(batch, self._generation)
        self._waiting.put(pending)
        return pending

    @property
    def has_more(self) -> bool:
        """Whether another batch waits in the queue."""
        return not self._waiting.empty()

    def restart(self) -> None:
        """Starts a new sequence: batches that are submitted from now on are independent."""
        self._generation += 1

    def close(self) -> None:
        """Ends `serve` after the batches in the queue."""
        self._waiting.put(None)

    def _next(self) -> Optional[PendingBatch]:
        """Returns the next batch once there is one; None after `close`."""
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

        The thread that made the user model calls this. After a batch that was not answered as a
        whole, the following batches are dropped until `restart`, because the user model gets
        messages in their order.
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
