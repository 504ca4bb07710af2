"""A class that raises, hangs, crashes, bloats, leaks, answers nonsense or lacks what it needs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from tests.faults import images, memory, served
from tests.faults.checker import EITHER
from tests.faults.fault import Fault, NotSeen
from tests.faults.fleet import Replica, signal_to
from tests.faults.scene import Scene
from tests.faults.side import side_stream
from tests.support import classes

_BETWEEN = 5
_AWAY_S = 6
_LIMIT_MIB = 400
_LEAKS = 60
_LETTERS = 100
_DIE_S = 120


def _send_marked(scene: Scene, code: int, expect: str) -> int:
    """An image that asks for trouble, right between good ones of the same key."""
    image = scene.random.randrange(images.count())
    value = served.marked(images.images()[image], code).tobytes()
    key = b"among-neighbours"
    for place in range(2 * _BETWEEN):
        if place == _BETWEEN:
            number = scene.load.send(
                value, expect=expect, headers=images.coded("raw", image).headers, key=key
            )
        scene.load.send_images(images.coded("raw", (image + place) % images.count()), key)
    return number


def _raise_on_one(scene: Scene) -> str:
    return f"message {_send_marked(scene, served.RAISE, 'predict_failed')}"


def _not_a_number(scene: Scene) -> str:
    return f"message {_send_marked(scene, served.NAN, 'bad_prediction')}"


def _wrong_shape(scene: Scene) -> str:
    return f"message {_send_marked(scene, served.WRONG_SHAPE, 'bad_prediction')}"


def _restarts(scene: Scene) -> int:
    return sum(replica.restarts() for replica in scene.running())


def _deadly(scene: Scene, code: int, stack: str | None) -> str:
    """An image at which workers die: twice, and then it is a dead letter."""
    before = _restarts(scene)
    logs = {replica: replica.log.stat().st_size for replica in scene.running()}
    number = _send_marked(scene, code, "worker_crash")
    scene.wait_for(lambda: _restarts(scene) >= before + 2, _DIE_S, "two workers die of it")
    if stack is not None and not any(_logged(*item, stack) for item in logs.items()):
        raise NotSeen(f"no log shows the stack, {stack!r}")
    return f"message {number}, dead letter after {_restarts(scene) - before} deaths"


def _logged(replica: Replica, start: int, text: str) -> bool:
    with replica.log.open("rb") as log:
        log.seek(start)
        return text.encode() in log.read()


def _hang(scene: Scene) -> str:
    return _deadly(scene, served.HANG, "in _misbehave")


def _segfault(scene: Scene) -> str:
    return _deadly(scene, served.SEGFAULT, "in _misbehave")


@contextmanager
def _little_memory(scene: Scene) -> Iterator[Callable[[], int]]:
    """All supervisors, and so the workers that they start again, with a limit for each.

    Yields:
        How many processes the kernel has killed for it.
    """
    with ExitStack() as stack:
        limits = []
        for replica in scene.running():
            limits.append(stack.enter_context(memory.limited(replica.pid, _LIMIT_MIB)))
            # The worker that runs is in its old group; its successor will not be.
            pid = scene.wait_for(replica.worker, 30, "there is a worker")
            signal_to(pid, signal.SIGTERM)
            scene.wait_for(partial(_has_another, replica, pid), 30, "there is another")
            scene.wait_for(replica.is_ready, 60, "it is ready")
        yield lambda: sum(limit.kills() for limit in limits)


def _has_another(replica: Replica, pid: int) -> bool:
    return replica.worker() not in (None, pid)


def _bloat(scene: Scene) -> str:
    with _little_memory(scene) as kills:
        seen = _deadly(scene, served.BLOAT, None)
        _require_kills(kills(), 2)
        return f"{seen} by the kernel"


def _leak(scene: Scene) -> str:
    with _little_memory(scene) as kills:
        before = _restarts(scene)
        for _ in range(_LEAKS):
            _send_marked(scene, served.LEAK, EITHER)
        scene.wait_for(lambda: _restarts(scene) > before, _DIE_S, "a worker dies")
        scene.recovered()
        _require_kills(kills(), 1)
        return f"{kills()} workers killed for memory by the kernel"


def _require_kills(kills: int, least: int) -> None:
    if kills < least:
        raise NotSeen(f"workers died, and the kernel killed {kills} for memory; {least} were due")


def _away(scene: Scene) -> str:
    store = scene.folder / served.STORE_AWAY
    since = time.monotonic()
    store.touch()
    try:
        # A replica that is given partitions is ready until it meets the error.
        scene.wait_for(partial(_says_away, scene), _AWAY_S, "/ready says that the store is away")
        scene.sleep(max(0.0, since + _AWAY_S - time.monotonic()))
    finally:
        store.unlink()
    return f"ConnectionError for {time.monotonic() - since:.0f} s; /ready said so"


def _says_away(scene: Scene) -> bool:
    texts = [replica.ask("/ready")[1] for replica in scene.running()]
    return any("reported a temporary error" in text for text in texts)


def _raise_on_everything(scene: Scene) -> str:
    broken = f"{classes.__name__}.{classes.Broken.__name__}"
    with side_stream(scene, f"broken-{scene.load.sent}", class_name=broken) as side:
        side.send(1000)
        side.replica.start()

        def halted() -> bool:
            status, text = side.replica.ask("/ready")
            return status == 503 and "consumption stopped" in text

        scene.wait_for(halted, 60, "consumption stops")
        letters = len(side.letters())
        if letters > _LETTERS:
            raise NotSeen(f"{letters} dead letters, more than the limit of {_LETTERS}")
    return f"consumption stopped after {letters} dead letters of 1000 messages"


def _no_memory_limit(scene: Scene) -> str | None:
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
