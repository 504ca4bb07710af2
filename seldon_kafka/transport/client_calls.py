"""Calls of the client library that come back in time, or are given up."""

from __future__ import annotations

import queue
import threading
from typing import Any, Callable, List, Optional, Sequence

from confluent_kafka import KafkaError, KafkaException


def nothing() -> bool:
    """There is no other work."""
    return False


def bounded_call(
    function: Callable[..., Any],
    *args: Any,
    within_s: float,
    meanwhile: Callable[[], bool] = nothing,
) -> None:
    """Calls in another thread, so that a call that does not come back holds nobody up.

    `send_offsets_to_transaction` waits for ever, whatever its time-out, when the group's
    coordinator has gone (https://github.com/confluentinc/librdkafka/issues/5456). Whoever gives a
    call up must not use its producer again: the call may still be under way.

    Args:
        function: a method of a producer.
        args: its arguments.
        within_s: how long it is waited for.
        meanwhile: a step of other work, done again and again until the call is back; it returns
            whether there is more to do.

    Raises:
        KafkaException: the call's own; or a fatal time-out, if it did not come back.
        Exception: that of the other work, if the call came back.
    """
    caller = _resting.pop() if _resting else _Caller()
    call = caller.begin(function, args)
    try:
        while not call.is_back() and meanwhile():
            pass
    finally:
        if not call.await_back(within_s):
            # Whatever became of the other work: this is what makes the producer unusable.
            why = f"{function.__name__} did not come back within {within_s:.0f} s"
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, why, True))
        _resting.append(caller)
    if call.error is not None:
        raise call.error


class _Call:
    """A call that another thread makes.

    Attributes:
        error: what it raised, once it is back.
    """

    def __init__(self, function: Callable[..., Any], args: Sequence[Any]) -> None:
        self._function = function
        self._args = args
        self.error: Optional[BaseException] = None
        # It is let go when the call is back: half of an event's time.
        self._under_way = threading.Lock()
        self._under_way.acquire()

    def make(self) -> None:
        """Makes the call, in the thread that is to make it."""
        try:
            self._function(*self._args)
        except BaseException as error:
            self.error = error
        self._under_way.release()

    def is_back(self) -> bool:
        """Whether the call is back."""
        return not self._under_way.locked()

    def await_back(self, within_s: float) -> bool:
        """Waits until the call is back; returns whether it is."""
        return self._under_way.acquire(timeout=within_s)


class _Caller:
    """A thread that makes one call after the other."""

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
"""Threads whose latest call is back; one that hangs is not used again."""
