"""Compares the speed of two checkouts of the runtime, which are measured in turns.

So other load on the machine affects both checkouts alike.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil

from bench.cluster import PARTITIONS, BenchCluster, BenchError, Watermarks, bench_cluster
from bench.facts import facts
from bench.latency import latencies
from bench.payloads import FORMAT_NAMES, bundled_images, images_of_test_split
from bench.systems import Runtime, Topics, running
from model.dataset import DatasetError
from seldon_kafka.config.arguments import positive_integer

RATES = (100.0, 1000.0)
"""Rates at which latency is measured, in messages a second."""

JAVA_OPTIONS = "-Xmx3g -Xmn2g -XX:ReservedCodeCacheSize=240m"
"""Java options of the brokers. With the default heap, Java's garbage collector stops a broker for
20 to 45 ms every 3.4 s at 1,000 messages a second. Such stops delay one message in a hundred, so
the 99th percentile would depend on chance."""

# A pair is one measurement of two workers, one of each checkout. In a pair each worker has `_TURNS`
# turns of `_TURN_S` seconds.
_TURNS = 10
_TURN_S = 0.5
# Replies after which a worker's batches are full, and the time limit for these replies.
_BEGUN = 20_000
_BEGIN_S = 60.0
# A pair starts only if more messages are left than this multiple of those that the last pair took.
_ROOM = 1.5
# Maximum number of pairs of one format before the pairs of the next format.
_IN_A_ROW = 10

_EXAMPLES = """
examples:
  git worktree add ../before d91bbc5
  python -m bench.revisions ../before
  python -m bench.revisions ../before --pairs 3 --messages 500000

Each ratio is this checkout's time divided by the other one's: 1.05 is five percent slower. The
ends of the interval are order statistics. With six pairs or more, the interval contains the true
median in at least 95 of 100 runs.
"""


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Returns the median, and an interval that has the true median with 95 % probability or more.

    The ends are order statistics, chosen by the binomial distribution (n, 1/2):
    https://www.itl.nist.gov/div898/software/dataplot/refman1/auxillar/mediancl.htm

    Args:
        ratios: measured ratios; with fewer than six, the interval spans all of them, and the
            probability is lower.

    Returns:
        The median, the lower end and the upper end.
    """
    ordered = np.sort(np.asarray(ratios, np.float64))
    count = len(ordered)
    chances = np.cumsum([_choose(count, number) for number in range(count + 1)]) / 2.0**count
    left_out = int(np.sum(chances <= 0.025))
    index = max(0, left_out - 1)
    return float(np.median(ordered)), float(ordered[index]), float(ordered[count - 1 - index])


def _choose(count: int, number: int) -> int:
    found = 1
    for step in range(number):
        found = found * (count - step) // (step + 1)
    return found


class Draining:
    """A worker that drains a topic, and can be suspended.

    Args:
        processes: processes of the worker.
        watermarks: end offsets of the output topic.
    """

    def __init__(self, processes: Sequence[psutil.Process], watermarks: Watermarks) -> None:
        self._processes = processes
        self._watermarks = watermarks

    def answered(self) -> int:
        """Returns the number of replies in the output topic, transaction markers included."""
        return self._watermarks.total()

    def suspend(self) -> None:
        """Suspends the worker."""
        for process in self._processes:
            process.suspend()

    def resume(self) -> None:
        """Resumes the worker."""
        for process in self._processes:
            process.resume()

    def run_for(self, seconds: float) -> float:
        """Resumes the worker for some seconds, and returns how many seconds it ran."""
        started = time.monotonic()
        self.resume()
        time.sleep(seconds)
        self.suspend()
        return time.monotonic() - started


@contextlib.contextmanager
def draining(
    cluster: BenchCluster, system: Runtime, source: str, format_name: str
) -> Iterator[Draining]:
    """Starts a worker with a group of its own, and suspends it after its first replies.

    Raises:
        BenchError: the worker does not answer.
    """
    replies, dead = cluster.output_topic(PARTITIONS), cluster.new_topic("dead", 1)
    topics = Topics(source, replies, dead, cluster.name("group"))
    with contextlib.ExitStack() as stack:
        watermarks = stack.enter_context(cluster.watermarks(replies, PARTITIONS))
        processes = stack.enter_context(running(system, cluster, topics, format_name))
        found = Draining(processes, watermarks)
        give_up_at = time.monotonic() + _BEGIN_S
        while found.answered() < _BEGUN:
            if time.monotonic() > give_up_at or not all(each.is_running() for each in processes):
                raise BenchError(f"{system.root} did not start to answer {source}")
            time.sleep(0.05)
        found.suspend()
        try:
            yield found
        finally:
            # A suspended process does not handle SIGTERM.
            found.resume()
    cluster.drop(replies, dead)


def drain_ratios(
    cluster: BenchCluster, systems: Sequence[Runtime], name: str, pairs: int, messages: int
) -> list[tuple[float, str]]:
    """Drains a topic with two workers that take turns of half a second.

    One worker is suspended while the other one runs. The load of other virtual machines changes
    the speed of this machine within seconds. With short turns, both workers meet the same load.

    Args:
        cluster: the brokers.
        systems: both checkouts.
        name: name of the wire format.
        pairs: maximum number of ratios.
        messages: number of messages in the topic; if they run out, there are fewer ratios.

    Returns:
        For each pair, the first worker's time for a message divided by the second worker's, and a
        text with both rates.

    Raises:
        BenchError: the messages are too few for a single pair.
    """
    source = cluster.full_topic(name, messages)
    ratios: list[tuple[float, str]] = []
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(draining(cluster, system, source, name)) for system in systems
        ]
        before = [worker.answered() for worker in workers]
        took = 0
        while len(ratios) < pairs and max(before) + _ROOM * took < messages:
            worked_s = [0.0, 0.0]
            for turn in range(_TURNS):
                for one in (0, 1) if turn % 2 else (1, 0):
                    worked_s[one] += workers[one].run_for(_TURN_S)
            after = [worker.answered() for worker in workers]
            rates = [
                (end - start) / seconds
                for start, end, seconds in zip(before, after, worked_s, strict=True)
            ]
            text = f"{rates[0]:,.0f} and {rates[1]:,.0f} messages/s"
            ratios.append((rates[1] / rates[0], text))
            took = max(end - start for start, end in zip(before, after, strict=True))
            before = after
    if max(before) >= messages:
        # A worker had no messages left during the last pair, so its rate is too low.
        ratios.pop()
    if not ratios:
        raise BenchError(
            f"{messages:,} messages are too few for one pair: give more with --messages"
        )
    return ratios


def compare(
    cluster: BenchCluster,
    other: Path,
    pairs: int,
    messages: int,
    seconds: float,
    report: Callable[[str], None],
) -> dict[str, list[float]]:
    """Measures both checkouts by turns.

    Args:
        cluster: the brokers.
        other: the other checkout.
        pairs: number of ratios for each measurement.
        messages: number of messages in each topic that is drained.
        seconds: duration of each latency measurement, without the warm-up.
        report: called with a line for each pair.

    Returns:
        For each measurement, the ratios of this checkout's time to the other one's.

    Raises:
        BenchError: a message was not answered, or `messages` are too few for a single pair.
    """
    here, there = Runtime(), Runtime(root=other.resolve())
    ratios: dict[str, list[float]] = {}

    def add(what: str, ratio: float, detail: str) -> None:
        ratios.setdefault(what, []).append(ratio)
        report(f"{what}: {ratio:.3f} ({detail})")

    left = dict.fromkeys(FORMAT_NAMES, pairs)
    while any(left.values()):
        for name in filter(left.get, FORMAT_NAMES):
            count = min(left[name], _IN_A_ROW)
            found = drain_ratios(cluster, (here, there), name, count, messages)
            left[name] -= len(found)
            for ratio, detail in found:
                add(f"drain {name}", ratio, detail)
    for number, rate in itertools.product(range(pairs), RATES):
        # Each checkout is measured first in every other pair.
        delays = {
            system.root: latencies(cluster, system, rate, seconds, format_name="ndarray")
            for system in ((here, there) if number % 2 else (there, here))
        }
        for percentile in (50, 99):
            mine, theirs = (
                float(np.percentile(delays[system.root], percentile)) for system in (here, there)
            )
            what = f"{rate:.0f}/s p{percentile}"
            add(what, mine / theirs, f"{mine:.2f} and {theirs:.2f} ms")
    return ratios


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares this checkout with another one.

    Returns:
        0 on success, 1 on an error, 2 for wrong arguments, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="python -m bench.revisions",
        description="Measures two checkouts by turns, and the ratio of their times.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("other", type=Path, help="the other checkout, run with this Python")
    parser.add_argument(
        "--pairs", type=positive_integer, default=10, help="ratios of each kind (10)"
    )
    parser.add_argument(
        "--messages", type=positive_integer, default=1_500_000, help="messages per topic (1500000)"
    )
    parser.add_argument(
        "--seconds", type=positive_integer, default=10, help="per latency measurement (10)"
    )
    parser.add_argument("--json", type=Path, help="write the ratios to this file")
    options = parser.parse_args(arguments)
    if not any((options.other / each / "worker").is_dir() for each in ("seldon_kafka", "kafka")):
        parser.error(f"{options.other} is not a checkout of the runtime")
    try:
        images = images_of_test_split()
    except DatasetError:
        images = bundled_images()
    os.environ.setdefault("_JAVA_OPTIONS", JAVA_OPTIONS)
    try:
        with bench_cluster(1, images) as cluster:
            ratios = compare(
                cluster,
                options.other,
                options.pairs,
                options.messages,
                options.seconds,
                lambda text: print(text, flush=True),
            )
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    for what, found in ratios.items():
        median, low, high = interval(found)
        print(f"{what:16} median {median:.3f}, 95 % interval {low:.3f} to {high:.3f}")
    if options.json:
        options.json.write_text(json.dumps({"facts": facts(), "ratios": ratios}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
