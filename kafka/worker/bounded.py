"""Calls of the client library that come back in time, or are given up."""

from __future__ import annotations

import threading
from typing import Any, Callable, List, Optional

from confluent_kafka import KafkaError, KafkaException


def nothing() -> bool:
    """There is no other work."""
    return False


def bounded(
    function: Callable[..., Any],
    *args: Any,
    within_s: float,
    meanwhile: Callable[[], bool] = nothing,
) -> None:
    """Calls in a thread of its own, so that one that does not come back holds nobody up.

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
    ended: List[Optional[BaseException]] = []

    def call() -> None:
        try:
            function(*args)
            ended.append(None)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=call, name=function.__name__, daemon=True)
    thread.start()
    try:
        while thread.is_alive() and meanwhile():
            pass
    finally:
        thread.join(within_s)
        if not ended:
            # Whatever became of the other work: this is what makes the producer unusable.
            why = f"{function.__name__} did not come back within {within_s:.0f} s"
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, why, True))
    if ended[0] is not None:
        raise ended[0]
