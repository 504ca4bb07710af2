"""A thread for calls of the client library that may hang."""

from __future__ import annotations

import queue
import threading
from typing import Callable, Optional, Tuple

from confluent_kafka import KafkaError, KafkaException


def nothing() -> bool:
    """Does no work, and returns that there is none left; the default of `while_waiting`."""
    return False


class ClientThread:
    """Calls methods of the client library in a separate thread, each with a time limit.

    `send_offsets_to_transaction` hangs for ever, whatever its time-out, when the group's
    coordinator is gone (https://github.com/confluentinc/librdkafka/issues/5456). A new thread
    replaces one whose call hangs.
    """

    def __init__(self) -> None:
        self._calls: Optional[queue.SimpleQueue[Optional[_Call]]] = None

    def call(
        self,
        function: Callable[..., object],
        *args: object,
        within_s: float,
        while_waiting: Callable[[], bool] = nothing,
    ) -> None:
        """Calls a method in the thread, and waits until the call returns; drops its result.

        If the call does not return in time, the producer must not be used again, because the call
        may still be under way.

        Args:
            function: a method of a producer.
            args: arguments of the method.
            within_s: longest wait for the call after the last step of other work, in seconds.
            while_waiting: a step of other work, repeated until the call returns; the step returns
                whether there is more to do.

        Raises:
            KafkaException: the call raised it; or the call did not return in time, and this error
                is fatal.
            Exception: the call raised it; or the other work raised it, and the call returned.
        """
        if self._calls is None:
            self._calls = _start_thread()
        call = _Call(function, args)
        self._calls.put(call)
        try:
            while not call.has_returned() and while_waiting():
                pass
        finally:
            if not call.wait(within_s):
                self._calls = None
                # This error replaces an error of the other work, because it makes the producer
                # unusable.
                name = getattr(function, "__name__", "a call")
                why = f"{name} did not return within {within_s:.0f} s"
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, why, True))
        if call.error is not None:
            raise call.error

    def close(self) -> None:
        """Ends the thread; the next call starts another."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


class _Call:
    """One call of a method.

    Attributes:
        error: the exception that the call raised, if any; valid once the call has returned.
    """

    def __init__(self, function: Callable[..., object], args: Tuple[object, ...]) -> None:
        self._function = function
        self._args = args
        self.error: Optional[BaseException] = None
        # The lock is released when the call returns. It takes half the time of a
        # `threading.Event`.
        self._under_way = threading.Lock()
        self._under_way.acquire()

    def make(self) -> None:
        """Makes the call, in the thread."""
        try:
            self._function(*self._args)
        except BaseException as error:
            self.error = error
        self._under_way.release()

    def has_returned(self) -> bool:
        """Returns whether the call has returned."""
        return not self._under_way.locked()

    def wait(self, within_s: float) -> bool:
        """Waits until the call has returned; returns False after the time limit."""
        return self._under_way.acquire(timeout=within_s)


def _start_thread() -> queue.SimpleQueue[Optional[_Call]]:
    """Starts a thread, and returns the queue of its calls; None in the queue ends it."""
    calls: queue.SimpleQueue[Optional[_Call]] = queue.SimpleQueue()

    def serve() -> None:
        while True:
            call = calls.get()
            if call is None:
                return
            call.make()

    threading.Thread(target=serve, name="client calls", daemon=True).start()
    return calls
