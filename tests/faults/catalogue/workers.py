"""Faults of workers: killed, frozen, restarted and scaled ones."""

from __future__ import annotations

import signal

from tests.faults import memory, user_models
from tests.faults.context import LOCAL, REMOTE, RunContext
from tests.faults.fault import Fault, FaultNotObserved
from tests.faults.replica import Replica, signal_to

_SESSION_S = 6.0
# A killed replica stays away until the other one has taken over all of its partitions.
_AWAY_S = 14.0
_LEAVE_S = 5.0
_READY_S = 120.0
_STORM = 12


def _any(context: RunContext) -> Replica:
    return context.random.choice(context.running())


def _worker_of(context: RunContext, replica: Replica) -> int:
    pid: int = context.wait_for(replica.worker, 30, f"replica {replica.name} has a worker")
    return pid


def _kill_worker(context: RunContext) -> str:
    replica = _any(context)
    context.sleep(context.random.uniform(0, 1))
    signal_to(_worker_of(context, replica), signal.SIGKILL)
    return f"the worker of {replica.name}, started again by its supervisor"


def _kill_replica(context: RunContext) -> str:
    replica = _any(context)
    context.sleep(context.random.uniform(0, 1))
    replica.kill()
    context.sleep(_AWAY_S)
    replica.start()
    return f"all of {replica.name}, away for {_AWAY_S:.0f} s"


def _kill_at(context: RunContext, point: str) -> str:
    replica = context.replicas[LOCAL]
    pid = _worker_of(context, replica)
    trigger = user_models.trigger_file(context.folder, point, replica.name)
    trigger.touch()
    context.wait_for(lambda: not trigger.exists(), 60, f"a worker reaches the point {point}")
    context.wait_for(lambda: replica.worker() != pid, 10, "it dies there")
    return f"the worker of {replica.name}"


def _after_predict(context: RunContext) -> str:
    return _kill_at(context, user_models.AFTER_PREDICT)


def _before_commit(context: RunContext) -> str:
    return _kill_at(context, user_models.BEFORE_COMMIT)


def _during_commit(context: RunContext) -> str:
    return _kill_at(context, user_models.DURING_COMMIT)


def _freeze(context: RunContext) -> str:
    replica = _any(context)
    pid = _worker_of(context, replica)
    signal_to(pid, signal.SIGSTOP)
    frozen_s = _SESSION_S + context.random.uniform(2, 5)
    context.sleep(frozen_s)
    signal_to(pid, signal.SIGCONT)
    return f"the worker of {replica.name} for {frozen_s:.1f} s"


def _storm(context: RunContext) -> str:
    left = []
    for name in (LOCAL, REMOTE):
        replica = context.replicas[name]
        for _ in range(_STORM):
            replica.terminate()
            context.sleep(0.01)
        left.append(_leave(replica))
        replica.start()
        context.wait_for(replica.is_ready, _READY_S, f"{name} is ready again")
    return f"{_STORM} to each replica; left after {_seconds(left)}"


def _rolling(context: RunContext) -> str:
    left = []
    for name in (LOCAL, REMOTE):
        replica = context.replicas[name]
        replica.terminate()
        left.append(_leave(replica))
        replica.start()
        context.wait_for(replica.is_ready, _READY_S, f"{name} is ready again")
    return f"one replica after the other; left after {_seconds(left)}"


def _leave(replica: Replica) -> float:
    status = replica.wait()
    took_s = replica.left_after[-1]
    if status != 0:
        raise FaultNotObserved(f"replica {replica.name} left with exit status {status}")
    if took_s > _LEAVE_S:
        raise FaultNotObserved(f"replica {replica.name} took {took_s:.1f} s to leave")
    return took_s


def _scale(context: RunContext) -> str:
    context.replicas[REMOTE].terminate()
    context.replicas[REMOTE].wait()
    context.start(REMOTE, "c", "d")
    context.sleep(2)
    highest = len(context.running())
    others = [context.replicas[name] for name in (REMOTE, "c", "d")]
    for replica in others:
        replica.terminate()
    for replica in others:
        _leave(replica)
    context.sleep(3)
    context.start(REMOTE)
    return f"1 replica, {highest}, 1, and 2 again"


def _out_of_memory(context: RunContext) -> str:
    replica = _any(context)
    pid = _worker_of(context, replica)
    trigger = user_models.trigger_file(context.folder, user_models.FILL_MEMORY, replica.name)
    with memory.limited(pid, mib=64) as limit:
        trigger.touch()
        try:
            context.wait_for(lambda: replica.worker() != pid, 30, "the worker dies")
        finally:
            trigger.unlink(missing_ok=True)
        if not limit.kills():
            raise FaultNotObserved(
                f"the worker of {replica.name} died, and the kernel killed no process"
            )
    return f"the worker of {replica.name}, by the kernel"


def _no_memory_limit(context: RunContext) -> str | None:
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
