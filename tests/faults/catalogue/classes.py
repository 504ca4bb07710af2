"""Faults of user models: they raise, hang, crash, use memory, answer nonsense or lack a service."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from tests.faults import images, memory, user_models
from tests.faults.checker import EITHER
from tests.faults.context import RunContext
from tests.faults.fault import Fault, FaultNotObserved
from tests.faults.replica import Replica, signal_to
from tests.faults.side import side_stream
from tests.support import classes

_BETWEEN = 5
_AWAY_S = 6
_LIMIT_MIB = 400
_LEAKS = 60
_LETTERS = 100
_DIE_S = 120


def _send_marked(context: RunContext, code: int, expect: str) -> int:
    """Sends an image with a mark, between valid ones of the same key; returns its number."""
    image = context.random.randrange(images.count())
    value = user_models.marked(images.images()[image], code).tobytes()
    key = b"among-neighbours"
    for step in range(2 * _BETWEEN):
        if step == _BETWEEN:
            number = context.load.send(
                value, expect=expect, headers=images.encoded("raw", image).headers, key=key
            )
        context.load.send_images(images.encoded("raw", (image + step) % images.count()), key)
    return number


def _raise_on_one(context: RunContext) -> str:
    return f"message {_send_marked(context, user_models.RAISE, 'predict_failed')}"


def _not_a_number(context: RunContext) -> str:
    return f"message {_send_marked(context, user_models.NAN, 'bad_prediction')}"


def _wrong_shape(context: RunContext) -> str:
    return f"message {_send_marked(context, user_models.WRONG_SHAPE, 'bad_prediction')}"


def _restarts(context: RunContext) -> int:
    return sum(replica.restarts() for replica in context.running())


def _deadly(context: RunContext, code: int, stack: str | None) -> str:
    """Sends an image that kills two workers and then becomes a dead letter."""
    before = _restarts(context)
    logs = {replica: replica.log.stat().st_size for replica in context.running()}
    number = _send_marked(context, code, "worker_crash")
    context.wait_for(lambda: _restarts(context) >= before + 2, _DIE_S, "two workers die")
    if stack is not None and not any(_logged(*item, stack) for item in logs.items()):
        raise FaultNotObserved(f"no log has the stack, {stack!r}")
    return f"message {number}, dead letter after {_restarts(context) - before} deaths"


def _logged(replica: Replica, start: int, text: str) -> bool:
    with replica.log.open("rb") as log:
        log.seek(start)
        return text.encode() in log.read()


def _hang(context: RunContext) -> str:
    return _deadly(context, user_models.HANG, "in _misbehave")


def _segfault(context: RunContext) -> str:
    return _deadly(context, user_models.SEGFAULT, "in _misbehave")


@contextmanager
def _little_memory(context: RunContext) -> Iterator[Callable[[], int]]:
    """Limits the memory of each supervisor, and of the workers that it starts from now on.

    Yields:
        A function that returns how many processes the kernel killed for the limit.
    """
    with ExitStack() as stack:
        limits = []
        for replica in context.running():
            limits.append(stack.enter_context(memory.limited(replica.pid, _LIMIT_MIB)))
            # The running worker stays in its old cgroup; only its successor is limited.
            pid = context.wait_for(replica.worker, 30, "there is a worker")
            signal_to(pid, signal.SIGTERM)
            context.wait_for(partial(_has_another, replica, pid), 30, "there is another")
            context.wait_for(replica.is_ready, 60, "it is ready")
        yield lambda: sum(limit.kills() for limit in limits)


def _has_another(replica: Replica, pid: int) -> bool:
    return replica.worker() not in (None, pid)


def _bloat(context: RunContext) -> str:
    with _little_memory(context) as kills:
        seen = _deadly(context, user_models.BLOAT, None)
        _require_kills(kills(), 2)
        return f"{seen} by the kernel"


def _leak(context: RunContext) -> str:
    with _little_memory(context) as kills:
        before = _restarts(context)
        for _ in range(_LEAKS):
            _send_marked(context, user_models.LEAK, EITHER)
        context.wait_for(lambda: _restarts(context) > before, _DIE_S, "a worker dies")
        context.wait_for_recovery()
        _require_kills(kills(), 1)
        return f"{kills()} workers killed for memory by the kernel"


def _require_kills(kills: int, expected: int) -> None:
    if kills < expected:
        raise FaultNotObserved(
            f"the kernel killed {kills} workers for memory, {expected} were expected"
        )


def _away(context: RunContext) -> str:
    store = context.folder / user_models.STORE_UNAVAILABLE
    since = time.monotonic()
    store.touch()
    try:
        # A replica with new partitions is ready until it meets the error.
        context.wait_for(partial(_reports_error, context), _AWAY_S, "/ready reports the error")
        context.sleep(max(0.0, since + _AWAY_S - time.monotonic()))
    finally:
        store.unlink()
    return f"ConnectionError for {time.monotonic() - since:.0f} s; /ready reported it"


def _reports_error(context: RunContext) -> bool:
    texts = [replica.ask("/ready")[1] for replica in context.running()]
    return any("reported a temporary error" in text for text in texts)


def _raise_on_everything(context: RunContext) -> str:
    broken = f"{classes.__name__}.{classes.Broken.__name__}"
    with side_stream(context, f"broken-{context.load.sent}", class_name=broken) as side:
        side.send(1000)
        side.replica.start()

        def is_stopped() -> bool:
            status, text = side.replica.ask("/ready")
            return status == 503 and "consumption stopped" in text

        context.wait_for(is_stopped, 60, "consumption stops")
        letters = len(side.letters())
        if letters > _LETTERS:
            raise FaultNotObserved(f"{letters} dead letters, more than the limit of {_LETTERS}")
    return f"consumption stopped after {letters} dead letters of 1000 messages"


def _no_memory_limit(context: RunContext) -> str | None:
    return memory.why_impossible()


FAULTS = (
    Fault("class: raises on one image", "class", _raise_on_one),
    Fault("class: raises on everything", "class", _raise_on_everything, mixes=False),
    Fault("class: ConnectionError for a while", "class", _away, quick=True),
    Fault("class: hangs on one image", "workers", _hang),
    Fault("class: segmentation fault on one image", "workers", _segfault, quick=True),
    Fault("class: bloats on one image", "workers", _bloat, _no_memory_limit),
    Fault("class: answers NaN", "class", _not_a_number),
    Fault("class: answers the wrong shape", "class", _wrong_shape),
    Fault("class: leaks memory", "workers", _leak, _no_memory_limit),
)
