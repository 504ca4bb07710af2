"""The prediction thread: the main thread, which runs the user model on submitted batches."""

from __future__ import annotations

import queue
import sys
from typing import Callable, Optional, Tuple

from seldon_kafka.errors import Retriable
from seldon_kafka.pipeline.batch import Batch, BatchState

# A thread that returns from the user model or from numpy waits this long for the interpreter lock,
# about ten times for each batch, in seconds. Python's default of 5 ms would cost more time than
# predicting in a thread of its own saves. The setting holds for the whole process, threads of the
# user model included.
_SWITCH_S = 0.00003
# `idle` is called after the first of these times without a batch, then at intervals of the second.
# A shorter pause does not count as idle, because stopping and starting the watchdog costs time too.
_IDLE_AFTER_S = 0.02
_IDLE_EVERY_S = 0.5


class _Sequence:
    """A sequence of batches, which are predicted in the order of their records.

    Args:
        has_ended: whether the batches of the sequence that are not predicted yet are to be dropped.
    """

    def __init__(self, *, has_ended: bool = False) -> None:
        self.has_ended = has_ended


class PredictionThread:
    """Runs the user model on submitted batches, in their order, in the main thread.

    Args:
        predict: runs the user model on a batch.
        idle: called in the main thread at intervals while no batch waits; not after `predict` has
            raised another exception than `Retriable`.
    """

    def __init__(self, predict: Callable[[Batch], None], idle: Callable[[], None]) -> None:
        self._predict = predict
        self._idle = idle
        self._submitted: queue.SimpleQueue[Optional[Tuple[Batch, _Sequence]]] = queue.SimpleQueue()
        self._sequence = _Sequence()
        self._has_failed = False

    def submit(self, batch: Batch) -> None:
        """Hands a batch to the main thread, after the batches that wait already."""
        self._submitted.put((batch, self._sequence))

    @property
    def has_more(self) -> bool:
        """Whether a submitted batch waits for the main thread."""
        return not self._submitted.empty()

    def drop(self) -> None:
        """Drops the batches that wait.

        A prediction under way goes on; the caller ignores its batch.
        """
        self._sequence.has_ended = True
        self._sequence = _Sequence()

    def settle(self) -> None:
        """Drops the batches that wait, and waits until no prediction is under way."""
        self.drop()
        marker = Batch(())
        self._submitted.put((marker, _Sequence(has_ended=True)))
        marker.wait()

    def close(self) -> None:
        """Makes `serve` return once it has handled the batches that wait."""
        self._submitted.put(None)

    def serve(self) -> None:
        """Runs the user model on one batch after the other until `close`.

        The thread that created the user model calls this method. After a batch that failed or was
        cut, the following batches of its sequence are dropped, because the user model gets messages
        in their order.
        """
        sys.setswitchinterval(_SWITCH_S)
        while True:
            submitted = self._next()
            if submitted is None:
                return
            batch, sequence = submitted
            error = None
            if sequence.has_ended:
                batch.state = BatchState.DROPPED
            else:
                error = self._error_of(batch)
                if error is not None or batch.left:
                    # Only set here, and never cleared: `drop` may set it meanwhile.
                    sequence.has_ended = True
            batch.end(error)

    def _next(self) -> Optional[Tuple[Batch, _Sequence]]:
        """Returns the next batch once there is one; None after `close`."""
        wait_s = _IDLE_AFTER_S
        while True:
            try:
                return self._submitted.get(timeout=wait_s)
            except queue.Empty:
                if not self._has_failed:
                    self._idle()
                wait_s = _IDLE_EVERY_S

    def _error_of(self, batch: Batch) -> Optional[BaseException]:
        """Predicts a batch; returns the exception that ended the prediction, or None."""
        try:
            self._predict(batch)
        except Retriable as error:
            return error
        except BaseException as error:
            # The worker exits, and the in-flight file must still have the records of this batch.
            self._has_failed = True
            return error
        return None
