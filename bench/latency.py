"""From when a message was due to when a reader of the replies, `read_committed`, has its answer."""

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

from bench.bed import PARTITIONS, ROOT, Bed, BenchError
from bench.cpu import cpu_seconds
from bench.drain import await_members
from bench.systems import System, Topics, running

# Loads, named after what they are a share of: what the system answers beside the sender and the
# reader, or by itself.
BESIDE = {share: f"{share:.0%} beside sender and reader" for share in (0.25, 0.5, 0.8)}
ALONE = {0.8: "80% alone"}
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
_WARM_UP_S = 8.0
_LATEST_S = 30.0


def latencies(
    bed: Bed, system: System, rate: float, seconds: float, *, format_name: str, members: int = 1
) -> NDArray[np.float64]:
    """Let a system answer at an offered load.

    Args:
        bed: the brokers.
        system: who answers.
        rate: messages a second.
        seconds: for how long, beside the warm-up.
        format_name: what is sent.
        members: of the system's group.

    Returns:
        Milliseconds of each message after the warm-up, in no order.

    Raises:
        BenchError: not each message was answered.
    """
    with contextlib.ExitStack() as stack:
        topics, _ = stack.enter_context(_waiting(bed, system, format_name, members))
        reader = stack.enter_context(_reading(bed, topics))
        sender = _send(bed, topics.source, rate, seconds + _WARM_UP_S, format_name)
        stack.callback(sender.wait)
        return _receive(reader, sender, int(rate * (seconds + _WARM_UP_S)))


def carried(bed: Bed, system: System, offered: float, seconds: float, *, format_name: str) -> float:
    """What a system answers beside the sender and the reader of its latency, on the same cores.

    Args:
        bed: the brokers.
        system: who answers, in one process.
        offered: messages a second; more than it can answer.
        seconds: for how long it is looked at.
        format_name: what is sent.

    Returns:
        Messages a second that the reader had.
    """
    with contextlib.ExitStack() as stack:
        topics, _ = stack.enter_context(_waiting(bed, system, format_name, 1))
        reader = stack.enter_context(_reading(bed, topics))
        sender = _send(bed, topics.source, offered, 2 * seconds + _WARM_UP_S, format_name)
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
def _reading(bed: Bed, topics: Topics) -> Iterator[Consumer]:
    """A reader of all replies, as an application would have it."""
    reader = Consumer(
        bed.client(
            group_id="bench-latency", isolation_level="read_committed", fetch_wait_max_ms=100
        )
    )
    try:
        reader.assign([TopicPartition(topics.replies, place, 0) for place in range(PARTITIONS)])
        yield reader
    finally:
        reader.close()


@contextlib.contextmanager
def _waiting(
    bed: Bed, system: System, format_name: str, members: int
) -> Iterator[tuple[Topics, list[psutil.Process]]]:
    """A system that waits for messages on a topic of its own: its topics and processes."""
    source, replies, dead = bed.new_topic("in"), bed.new_topic("out"), bed.new_topic("dead", 1)
    topics = Topics(source, replies, dead, bed.name("group"))
    with running(system, bed, topics, format_name) as processes:
        await_members(bed, topics.group, members)
        yield topics, processes
    bed.drop(source, replies, dead)


def _send(
    bed: Bed, topic: str, rate: float, seconds: float, format_name: str
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.open_loop", "--broker", bed.bootstrap]
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


def idle_share(bed: Bed, system: System, seconds: float) -> float:
    """The share of a core that a system takes while there is nothing to do."""
    with _waiting(bed, system, "ndarray", 1) as (_, processes):
        time.sleep(_WARM_UP_S)
        before, started = cpu_seconds(processes), time.monotonic()
        time.sleep(seconds)
        return (cpu_seconds(processes) - before) / (time.monotonic() - started)


def percentiles(milliseconds: NDArray[np.float64]) -> Sequence[float]:
    """The latencies at `PERCENTILES`."""
    return [float(value) for value in np.percentile(milliseconds, PERCENTILES)]
