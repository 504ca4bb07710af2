"""`python -m tests.broker.replay_until METHOD N WHEN …`: a replay that is killed or stopped.

At the N-th call of a method of its transactional producer it kills itself, `before` the call,
`after` it, or `during` it, a few milliseconds later. With `stopped` it stops before the call.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

import confluent_kafka

METHOD, NUMBER, WHEN = sys.argv[1], int(sys.argv[2]), sys.argv[3]
_SOON_S = 0.003


def signalled(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def die() -> None:
    signalled(signal.SIGKILL)


class Mortal(confluent_kafka.Producer):
    """A producer that kills or stops its process at one of its calls."""

    calls = 0

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return _deadly(found) if name == METHOD else found


def _deadly(method: Any) -> Any:
    def call(*args: Any, **options: Any) -> Any:
        Mortal.calls += 1
        if Mortal.calls != NUMBER:
            return method(*args, **options)
        if WHEN == "before":
            die()
        if WHEN == "stopped":
            signalled(signal.SIGSTOP)
            return method(*args, **options)
        if WHEN == "during":
            threading.Timer(_SOON_S, die).start()
        method(*args, **options)
        return die()

    return call


if __name__ == "__main__":
    from seldon_kafka.transport import producers
    from tests.support.commands import dead_letters as main

    producers.Producer = Mortal  # type: ignore[attr-defined]
    sys.exit(main(["replay", *sys.argv[4:]]))
