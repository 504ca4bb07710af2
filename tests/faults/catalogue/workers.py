"""Workers that are killed, frozen, restarted, and made more or fewer."""

from __future__ import annotations

import signal

from tests.faults import memory, served
from tests.faults.fault import Fault, NotSeen
from tests.faults.fleet import Replica, signal_to
from tests.faults.scene import LOCAL, REMOTE, Scene

_SESSION_S = 6.0
# A killed replica stays away for so long that the other one takes over all of its partitions.
_AWAY_S = 14.0
_LEAVE_S = 5.0
_READY_S = 120.0
_STORM = 12


def _any(scene: Scene) -> Replica:
    return scene.random.choice(scene.running())


def _worker_of(scene: Scene, replica: Replica) -> int:
    pid: int = scene.wait_for(replica.worker, 30, f"replica {replica.name} has a worker")
    return pid


def _kill_worker(scene: Scene) -> str:
    replica = _any(scene)
    scene.sleep(scene.random.uniform(0, 1))
    signal_to(_worker_of(scene, replica), signal.SIGKILL)
    return f"the worker of {replica.name}, started again by its supervisor"


def _kill_replica(scene: Scene) -> str:
    replica = _any(scene)
    scene.sleep(scene.random.uniform(0, 1))
    replica.kill()
    scene.sleep(_AWAY_S)
    replica.start()
    return f"all of {replica.name}, away for {_AWAY_S:.0f} s"


def _kill_at(scene: Scene, point: str) -> str:
    replica = scene.fleet[LOCAL]
    pid = _worker_of(scene, replica)
    order = served.order(scene.folder, point, replica.name)
    order.touch()
    scene.wait_for(lambda: not order.exists(), 60, f"a worker comes to the point {point}")
    scene.wait_for(lambda: replica.worker() != pid, 10, "it dies there")
    return f"the worker of {replica.name}"


def _after_predict(scene: Scene) -> str:
    return _kill_at(scene, served.AFTER_PREDICT)


def _before_commit(scene: Scene) -> str:
    return _kill_at(scene, served.BEFORE_COMMIT)


def _during_commit(scene: Scene) -> str:
    return _kill_at(scene, served.DURING_COMMIT)


def _freeze(scene: Scene) -> str:
    replica = _any(scene)
    pid = _worker_of(scene, replica)
    signal_to(pid, signal.SIGSTOP)
    frozen_s = _SESSION_S + scene.random.uniform(2, 5)
    scene.sleep(frozen_s)
    signal_to(pid, signal.SIGCONT)
    return f"the worker of {replica.name} for {frozen_s:.1f} s"


def _storm(scene: Scene) -> str:
    left = []
    for name in (LOCAL, REMOTE):
        replica = scene.fleet[name]
        for _ in range(_STORM):
            replica.terminate()
            scene.sleep(0.01)
        left.append(_leave(replica))
        replica.start()
        scene.wait_for(replica.is_ready, _READY_S, f"{name} is ready again")
    return f"{_STORM} to each replica; left after {_seconds(left)}"


def _rolling(scene: Scene) -> str:
    left = []
    for name in (LOCAL, REMOTE):
        replica = scene.fleet[name]
        replica.terminate()
        left.append(_leave(replica))
        replica.start()
        scene.wait_for(replica.is_ready, _READY_S, f"{name} is ready again")
    return f"one replica after the other; left after {_seconds(left)}"


def _leave(replica: Replica) -> float:
    status = replica.wait()
    took_s = replica.left_after[-1]
    if status != 0:
        raise NotSeen(f"replica {replica.name} left with exit status {status}")
    if took_s > _LEAVE_S:
        raise NotSeen(f"replica {replica.name} took {took_s:.1f} s to leave")
    return took_s


def _scale(scene: Scene) -> str:
    scene.fleet[REMOTE].terminate()
    scene.fleet[REMOTE].wait()
    scene.start(REMOTE, "c", "d")
    scene.sleep(2)
    most = len(scene.running())
    others = [scene.fleet[name] for name in (REMOTE, "c", "d")]
    for replica in others:
        replica.terminate()
    for replica in others:
        _leave(replica)
    scene.sleep(3)
    scene.start(REMOTE)
    return f"1 replica, {most}, 1, and 2 again"


def _out_of_memory(scene: Scene) -> str:
    replica = _any(scene)
    pid = _worker_of(scene, replica)
    order = served.order(scene.folder, served.HOARD, replica.name)
    with memory.limited(pid, mib=64) as limit:
        order.touch()
        try:
            scene.wait_for(lambda: replica.worker() != pid, 30, "the worker dies")
        finally:
            order.unlink(missing_ok=True)
        if not limit.kills():
            raise NotSeen(f"the worker of {replica.name} died, and the kernel killed nobody")
    return f"the worker of {replica.name}, by the kernel"


def _no_memory_limit(scene: Scene) -> str | None:
    return memory.why_impossible()


FAULTS = (
    Fault("worker: SIGKILL at a random moment", "workers", _kill_worker),
    Fault("worker: SIGKILL of a whole replica", "workers", _kill_replica, stall_s=10),
    Fault("worker: SIGKILL after predict", "workers", _after_predict),
    Fault("worker: SIGKILL after produce, before commit", "workers", _before_commit, quick=True),
    Fault("worker: SIGKILL during commit", "workers", _during_commit),
    Fault("worker: SIGSTOP beyond the session, then SIGCONT", "workers", _freeze, quick=True),
    Fault("worker: a storm of SIGTERM", "workers", _storm),
    Fault("worker: rolling restart of all", "workers", _rolling, stall_s=5),
    Fault("worker: scaling 1 to 4 to 1", "workers", _scale),
    Fault("worker: killed for memory", "workers", _out_of_memory, _no_memory_limit),
)


def _seconds(values: list[float]) -> str:
    return ", ".join(f"{value:.1f} s" for value in values)
