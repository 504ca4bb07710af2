"""How fast a system answers what is in a topic already."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil
from confluent_kafka import ConsumerGroupState
from numpy.typing import NDArray

from bench.bed import PARTITIONS, Bed, BenchError, broker_processes
from bench.cpu import cpu_seconds, resident_mib
from bench.figures import Figures
from bench.shares import apart
from bench.systems import System, Topics, running

# What looks costs processor time that is then not the system's.
_POLL_S = 0.2
_LOOK_S = 2.0
_SLACK_S = 60.0


@dataclass(frozen=True)
class Drain:
    """What came of draining a topic.

    Attributes:
        rate: replies a second, from when all workers had begun until the last reply.
        worker_cpu: CPU seconds of the system for 1,000 messages.
        broker_cpu: CPU seconds of the brokers for 1,000 messages.
        memory_mib: most resident memory of the system.
        first_answer_s: from the start of the processes to the first reply.
    """

    rate: float
    worker_cpu: float
    broker_cpu: float
    memory_mib: float
    first_answer_s: float


def drain(
    bed: Bed,
    system: System,
    source: str,
    count: int,
    *,
    format_name: str,
    members: int = 1,
    partitions: int = PARTITIONS,
    share: float | None = None,
    within_s: float = 600.0,
) -> Drain:
    """Let a system answer all of a topic.

    Args:
        bed: the brokers.
        system: who answers.
        source: a topic of `count` messages.
        count: how many.
        format_name: what they are.
        members: of the group; what was answered before all had partitions does not count.
        partitions: of the topics.
        share: of a core that each process is held to, with the brokers on a core of their own.
        within_s: when to give up.

    Raises:
        BenchError: not each message was answered once, or not in time.
    """
    replies = bed.output_topic(partitions)
    dead = bed.new_topic("dead", 1)
    topics = Topics(source, replies, dead, bed.name("group"))
    with contextlib.ExitStack() as stack:
        watermarks = stack.enter_context(bed.watermarks(replies, partitions))
        started_ms = time.time() * 1000
        processes = stack.enter_context(running(system, bed, topics, format_name))
        if share is not None:
            stack.enter_context(apart(processes, broker_processes(), share))
        watch = _Watch(processes)
        joined_ms = await_members(bed, topics.group, members) if members > 1 else 0.0
        give_up_at = time.monotonic() + within_s
        while watermarks.total() < count:
            watch.look()
            if time.monotonic() > give_up_at:
                raise BenchError(f"{system} did not answer all within {within_s:.0f} s")
            if not all(process.is_running() for process in processes):
                break
            time.sleep(_POLL_S)
        watch.look(now=True)
        arrivals = bed.arrivals(replies, count, _SLACK_S, partitions)
    bed.drop(replies, dead)
    if arrivals.answered != count:
        raise BenchError(f"{arrivals.answered:,} of {count:,} messages were answered")
    return Drain(
        _rate(arrivals.times_ms, joined_ms),
        watch.worker_cpu / count * 1000,
        watch.broker_cpu / count * 1000,
        watch.memory_mib,
        (arrivals.times_ms[0] - started_ms) / 1000,
    )


def _rate(times_ms: NDArray[np.int64], since_ms: float) -> float:
    counted = times_ms[times_ms >= max(since_ms, times_ms[0] + 1)]
    begun = max(since_ms, float(times_ms[0]))
    if not counted.size or counted[-1] <= begun:
        raise BenchError("all was answered before there was time to measure")
    return float(counted.size / (counted[-1] - begun) * 1000)


class _Watch:
    """Looks at processor time and memory now and then."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._processes = processes
        self._brokers = broker_processes()
        self._before = cpu_seconds(processes), cpu_seconds(self._brokers)
        self._looked_at = 0.0
        self.worker_cpu = self.broker_cpu = self.memory_mib = 0.0

    def look(self, *, now: bool = False) -> None:
        """Note how things stand, if that is due, or now."""
        if not now and time.monotonic() - self._looked_at < _LOOK_S:
            return
        self._looked_at = time.monotonic()
        self.worker_cpu = max(self.worker_cpu, cpu_seconds(self._processes) - self._before[0])
        self.broker_cpu = cpu_seconds(self._brokers) - self._before[1]
        self.memory_mib = max(self.memory_mib, resident_mib(self._processes))


def await_members(bed: Bed, group: str, members: int) -> float:
    """When so many members of a group had partitions, in milliseconds since 1970."""
    give_up_at = time.monotonic() + _SLACK_S
    while time.monotonic() < give_up_at:
        found = bed.group(group)
        if found is not None and found.state == ConsumerGroupState.STABLE:
            busy = [one for one in found.members if one.assignment.topic_partitions]
            if len(busy) == members:
                return time.time() * 1000
        time.sleep(_POLL_S)
    raise BenchError(f"the group {group} did not get {members} members")


def note(figures: Figures, what: str, result: Drain, **labels: object) -> None:
    """Add what came of one drain."""
    figures.add(what, "messages/s", result.rate, **labels)
    figures.add(f"{what} cpu", "s/1000", result.worker_cpu, part="worker", **labels)
    figures.add(f"{what} cpu", "s/1000", result.broker_cpu, part="broker", **labels)
    figures.add(f"{what} memory", "MiB", result.memory_mib, **labels)
