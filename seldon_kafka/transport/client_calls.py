"""Calls of the client library with a time limit, in a thread of their own."""

from __future__ import annotations

import queue
import threading
from typing import Any, Callable, List, Optional, Sequence

from confluent_kafka import KafkaError, KafkaException


def nothing() -> bool:
    """Does no work; the default of `meanwhile`."""
    return False


def bounded_call(
    function: Callable[..., Any],
    *args: Any,
    within_s: float,
    meanwhile: Callable[[], bool] = nothing,
) -> None:
    """Calls a client method in another thread, and waits for it at most this long.

    `send_offsets_to_transaction` hangs for ever, whatever its time-out, when the group's
    coordinator is gone (https://github.com/confluentinc/librdkafka/issues/5456). After a time-out
    the producer must not be used again: the call may still be under way.

    Args:
        function: a method of a producer.
        args: its arguments.
        within_s: longest wait, in seconds.
        meanwhile: a step of other work, repeated until the call returns; it returns whether there
            is more to do.

    Raises:
        KafkaException: the call's own error; or a fatal time-out, if the call did not return.
        Exception: an error of the other work, if the call returned.
    """
    caller = _resting.pop() if _resting else _Caller()
    call = caller.begin(function, args)
    try:
        while not call.is_back() and meanwhile():
            pass
    finally:
        if not call.await_back(within_s):
            # This error comes first: it makes the producer unusable.
            why = f"{function.__name__} did not come back within {within_s:.0f} s"
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, why, True))
        _resting.append(caller)
    if call.error is not None:
        raise call.error


class _Call:
    """A call that another thread makes.

    Attributes:
        error: the exception that it raised, once it has returned.
    """

    def __init__(self, function: Callable[..., Any], args: Sequence[Any]) -> None:
        self._function = function
        self._args = args
        self.error: Optional[BaseException] = None
        # Released when the call returns. A lock takes half of the time of an event.
        self._under_way = threading.Lock()
        self._under_way.acquire()

    def make(self) -> None:
        """Makes the call, in the other thread."""
        try:
            self._function(*self._args)
        except BaseException as error:
            self.error = error
        self._under_way.release()

    def is_back(self) -> bool:
        """Returns whether the call has returned."""
        return not self._under_way.locked()

    def await_back(self, within_s: float) -> bool:
        """Waits until the call has returned; returns False after the time limit."""
        return self._under_way.acquire(timeout=within_s)


class _Caller:
    """A thread that makes calls, one after the other."""

    def __init__(self) -> None:
        self._calls: Any = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="client calls", daemon=True).start()

    def begin(self, function: Callable[..., Any], args: Sequence[Any]) -> _Call:
        """Begins a call."""
        call = _Call(function, args)
        self._calls.put(call)
        return call

    def _serve(self) -> None:
        while True:
            self._calls.get().make()


_resting: List[_Caller] = []
"""Threads without a call under way; a thread whose call hangs is not used again."""
