"""Measures how fast a system answers the messages that are already in a topic."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil
from confluent_kafka import ConsumerGroupState
from numpy.typing import NDArray

from bench.cluster import PARTITIONS, BenchCluster, BenchError, broker_processes
from bench.cpu import cpu_seconds, resident_mib
from bench.figures import Figures
from bench.shares import limited
from bench.systems import System, Topics, running

_POLL_S = 0.2
# Shortest time between two samples. A sample takes CPU time from the system.
_SAMPLE_S = 2.0
# Time limit for the members of the group, and for the last replies.
_SLACK_S = 60.0


@dataclass(frozen=True)
class Drain:
    """The results of draining a topic.

    Attributes:
        rate: replies a second, from the first reply to the last one. With several members the
            measurement starts only when all of them have partitions.
        worker_cpu: CPU seconds of the system for 1,000 messages.
        broker_cpu: CPU seconds of the brokers for 1,000 messages.
        memory_mib: highest resident memory of the system in MiB, among samples every 2 s.
        first_answer_s: seconds from the start of the processes to the first reply.
    """

    rate: float
    worker_cpu: float
    broker_cpu: float
    memory_mib: float
    first_answer_s: float


def drain(
    cluster: BenchCluster,
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
    """Starts a system, and measures how it answers all messages of a topic.

    Args:
        cluster: the brokers.
        system: system to measure.
        source: name of a topic with `count` messages.
        count: number of messages.
        format_name: name of the wire format.
        members: number of members of the group. With several members, the rate counts only replies
            from the time when all members have partitions.
        partitions: number of partitions of the topics of messages and of replies.
        share: share of a core for each process, with the brokers on another core; None sets no
            limit.
        within_s: time limit in seconds.

    Raises:
        BenchError: not every message was answered exactly once in time.
    """
    replies = cluster.output_topic(partitions)
    dead = cluster.new_topic("dead", 1)
    topics = Topics(source, replies, dead, cluster.name("group"))
    with contextlib.ExitStack() as stack:
        watermarks = stack.enter_context(cluster.watermarks(replies, partitions))
        started_ms = time.time() * 1000
        processes = stack.enter_context(running(system, cluster, topics, format_name))
        if share is not None:
            stack.enter_context(limited(processes, broker_processes(), share))
        usage = _Usage(processes)
        joined_ms = wait_for_members(cluster, topics.group, members) if members > 1 else 0.0
        give_up_at = time.monotonic() + within_s
        while watermarks.total() < count:
            usage.sample()
            if time.monotonic() > give_up_at:
                raise BenchError(f"{system} did not answer all messages within {within_s:.0f} s")
            if not all(process.is_running() for process in processes):
                break
            time.sleep(_POLL_S)
        usage.sample(now=True)
        arrivals = cluster.arrivals(replies, count, _SLACK_S, partitions)
    cluster.drop(replies, dead)
    if arrivals.answered != count:
        raise BenchError(f"{arrivals.answered:,} of {count:,} messages were answered")
    return Drain(
        _rate(arrivals.times_ms, joined_ms),
        usage.worker_cpu / count * 1000,
        usage.broker_cpu / count * 1000,
        usage.memory_mib,
        (arrivals.times_ms[0] - started_ms) / 1000,
    )


def _rate(times_ms: NDArray[np.int64], since_ms: float) -> float:
    counted = times_ms[times_ms >= max(since_ms, times_ms[0] + 1)]
    started = max(since_ms, float(times_ms[0]))
    if not counted.size or counted[-1] <= started:
        raise BenchError("all messages were answered before the measurement started")
    return float(counted.size / (counted[-1] - started) * 1000)


class _Usage:
    """Samples the CPU seconds of the system and of the brokers, and the system's memory in MiB."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._processes = processes
        self._brokers = broker_processes()
        self._before = cpu_seconds(processes), cpu_seconds(self._brokers)
        self._sampled_at = 0.0
        self.worker_cpu = self.broker_cpu = self.memory_mib = 0.0

    def sample(self, *, now: bool = False) -> None:
        """Takes a sample if one is due, or if `now` is set."""
        if not now and time.monotonic() - self._sampled_at < _SAMPLE_S:
            return
        self._sampled_at = time.monotonic()
        self.worker_cpu = max(self.worker_cpu, cpu_seconds(self._processes) - self._before[0])
        self.broker_cpu = cpu_seconds(self._brokers) - self._before[1]
        self.memory_mib = max(self.memory_mib, resident_mib(self._processes))


def wait_for_members(cluster: BenchCluster, group: str, members: int) -> float:
    """Waits until this number of members has partitions.

    Returns:
        The time at which the last check found the partitions, in milliseconds since 1970.

    Raises:
        BenchError: the members have no partitions within 60 s.
    """
    give_up_at = time.monotonic() + _SLACK_S
    while time.monotonic() < give_up_at:
        found = cluster.group(group)
        if found is not None and found.state == ConsumerGroupState.STABLE:
            busy = [one for one in found.members if one.assignment.topic_partitions]
            if len(busy) == members:
                return time.time() * 1000
        time.sleep(_POLL_S)
    raise BenchError(f"{members} members of {group} did not get partitions within {_SLACK_S:.0f} s")


def add_drain(figures: Figures, what: str, result: Drain, **labels: object) -> None:
    """Adds the results of one drain to the figures."""
    figures.add(what, "messages/s", result.rate, **labels)
    figures.add(f"{what} cpu", "s/1000", result.worker_cpu, part="worker", **labels)
    figures.add(f"{what} cpu", "s/1000", result.broker_cpu, part="broker", **labels)
    figures.add(f"{what} memory", "MiB", result.memory_mib, **labels)
