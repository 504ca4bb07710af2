"""Measures latency, from a message's due time until a `read_committed` reader has its reply."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
import psutil
from confluent_kafka import Consumer, KafkaException, TopicPartition
from numpy.typing import NDArray

from bench.cluster import PARTITIONS, ROOT, BenchCluster, BenchError
from bench.cpu import cpu_seconds
from bench.drain import wait_for_members
from bench.systems import System, Topics, running

# Names of loads, by their share of the rate that a worker reaches beside sender and reader.
SHARED_LOADS = {share: f"{share:.0%} beside sender and reader" for share in (0.25, 0.5, 0.8)}
# Names of loads, by their share of the rate that a worker reaches alone.
ALONE_LOADS = {0.8: "80% alone"}
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
_WARM_UP_S = 8.0
# Time limit for the replies after the sender has ended.
_LATEST_S = 30.0


def latencies(
    cluster: BenchCluster,
    system: System,
    rate: float,
    seconds: float,
    *,
    format_name: str,
    members: int = 1,
) -> NDArray[np.float64]:
    """Measures latencies at an offered load.

    Args:
        cluster: the brokers.
        system: system to measure.
        rate: messages a second that are sent.
        seconds: duration of the measurement, without the warm-up.
        format_name: name of the wire format.
        members: number of members of the system's group.

    Returns:
        The latency of each message after the warm-up in milliseconds, in no particular order.

    Raises:
        BenchError: not every message was answered.
    """
    with contextlib.ExitStack() as stack:
        topics, _ = stack.enter_context(_ready_system(cluster, system, format_name, members))
        reader = stack.enter_context(_reading(cluster, topics))
        sender = _send(cluster, topics.source, rate, seconds + _WARM_UP_S, format_name)
        stack.callback(sender.wait)
        return _receive(reader, sender, int(rate * (seconds + _WARM_UP_S)))


def shared_rate(
    cluster: BenchCluster, system: System, offered: float, seconds: float, *, format_name: str
) -> float:
    """Measures a system's rate on the cores that it shares with sender and reader.

    Args:
        cluster: the brokers.
        system: the system, with one process.
        offered: messages a second, more than the system can answer.
        seconds: duration of the measurement.
        format_name: name of the wire format.

    Returns:
        Replies a second that the reader receives.
    """
    with contextlib.ExitStack() as stack:
        topics, _ = stack.enter_context(_ready_system(cluster, system, format_name, 1))
        reader = stack.enter_context(_reading(cluster, topics))
        sender = _send(cluster, topics.source, offered, 2 * seconds + _WARM_UP_S, format_name)
        stack.callback(sender.wait)
        stack.callback(sender.kill)
        _count_until(reader, time.monotonic() + _WARM_UP_S)
        started = time.monotonic()
        count = _count_until(reader, started + seconds)
        return count / (time.monotonic() - started)


def _count_until(reader: Consumer, end: float) -> int:
    count = 0
    while time.monotonic() < end:
        count += sum(message.error() is None for message in reader.consume(1000, 0.1))
    return count


@contextlib.contextmanager
def _reading(cluster: BenchCluster, topics: Topics) -> Iterator[Consumer]:
    """Opens a reader of all replies, as an application would."""
    reader = Consumer(
        cluster.client(
            group_id="bench-latency", isolation_level="read_committed", fetch_wait_max_ms=100
        )
    )
    try:
        reader.assign([TopicPartition(topics.replies, each, 0) for each in range(PARTITIONS)])
        yield reader
    finally:
        reader.close()


@contextlib.contextmanager
def _ready_system(
    cluster: BenchCluster, system: System, format_name: str, members: int
) -> Iterator[tuple[Topics, list[psutil.Process]]]:
    """Starts a system with new topics; yields the topics and the system's processes."""
    source, replies, dead = (
        cluster.new_topic("in"),
        cluster.new_topic("out"),
        cluster.new_topic("dead", 1),
    )
    topics = Topics(source, replies, dead, cluster.name("group"))
    with running(system, cluster, topics, format_name) as processes:
        wait_for_members(cluster, topics.group, members)
        yield topics, processes
    cluster.drop(source, replies, dead)


def _send(
    cluster: BenchCluster, topic: str, rate: float, seconds: float, format_name: str
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.open_loop", "--broker", cluster.bootstrap]
    command += ["--topic", topic, "--partitions", str(PARTITIONS), "--format", format_name]
    command += ["--rate", str(rate), "--seconds", str(seconds)]
    return subprocess.Popen(command, cwd=ROOT)


def _receive(reader: Consumer, sender: subprocess.Popen[bytes], count: int) -> NDArray[np.float64]:
    due: list[int] = []
    received: list[int] = []
    give_up_at = float("inf")
    while len(due) < count:
        first = reader.poll(0.1)
        now = time.monotonic_ns()
        for message in [first, *reader.consume(1000, 0)] if first is not None else ():
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            due.append(int(message.key() or b"0"))
            received.append(now)
        if sender.poll() is not None:
            give_up_at = min(give_up_at, time.monotonic() + _LATEST_S)
        if time.monotonic() > give_up_at:
            raise BenchError(f"{len(due):,} of {count:,} messages were answered")
    times = np.array(due, np.int64)
    measured = (np.array(received, np.int64) - times) / 1e6
    return np.asarray(measured[times - times.min() > _WARM_UP_S * 1e9], np.float64)


def idle_share(cluster: BenchCluster, system: System, seconds: float) -> float:
    """Returns the share of a core that an idle system uses; 1 is a whole core."""
    with _ready_system(cluster, system, "ndarray", 1) as (_, processes):
        time.sleep(_WARM_UP_S)
        before, started = cpu_seconds(processes), time.monotonic()
        time.sleep(seconds)
        return (cpu_seconds(processes) - before) / (time.monotonic() - started)


def percentiles(milliseconds: NDArray[np.float64]) -> Sequence[float]:
    """Returns the latencies at `PERCENTILES`, in milliseconds."""
    return [float(value) for value in np.percentile(milliseconds, PERCENTILES)]
