"""Two checkouts of the runtime, measured by turns, so that a machine's moods hit both alike."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench.bed import Bed, BenchError, bed
from bench.drain import drain
from bench.facts import facts
from bench.latency import latencies
from bench.payloads import FORMAT_NAMES, bundled_images, images_of_test_split
from bench.systems import Runtime
from kafka.arguments import positive_integer
from model.dataset import DatasetError

RATE = 100.0
"""Messages a second for the latencies."""

JAVA_OPTIONS = "-Xmx3g -Xmn2g -XX:ReservedCodeCacheSize=240m"
"""Of the brokers: with their usual heap, Java's collector stops them for 20 to 45 ms every 3.4
seconds at this rate, which holds up about one message in a hundred and makes the 99th percentile
a matter of chance."""

_EXAMPLES = """
examples:
  git worktree add ../before d91bbc5
  python -m bench.revisions ../before
  python -m bench.revisions ../before --pairs 3 --messages 20000

Each ratio is this checkout's time by the other one's: 1.05 is five percent slower. The interval
of the median is made of order statistics, and holds it in 95 of 100 runs or more.
"""


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """The median, and an interval that holds the true median with 95 % or more.

    Order statistics of a binomial (n, 1/2):
    https://www.itl.nist.gov/div898/software/dataplot/refman1/auxillar/mediancl.htm

    Args:
        ratios: six or more, or the interval is that of all.

    Returns:
        Median, lower end, upper end.
    """
    ordered = np.sort(np.asarray(ratios, np.float64))
    count = len(ordered)
    chances = np.cumsum([_choose(count, number) for number in range(count + 1)]) / 2.0**count
    left_out = int(np.sum(chances <= 0.025))
    place = max(0, left_out - 1)
    return float(np.median(ordered)), float(ordered[place]), float(ordered[count - 1 - place])


def _choose(count: int, number: int) -> int:
    found = 1
    for step in range(number):
        found = found * (count - step) // (step + 1)
    return found


def compare(
    cluster: Bed, other: Path, pairs: int, messages: int, seconds: float, say: Callable[[str], None]
) -> dict[str, list[float]]:
    """Measures both checkouts by turns.

    Args:
        cluster: the brokers.
        other: the other checkout.
        pairs: how often.
        messages: in each topic that is drained.
        seconds: for latencies, beside the warm-up.
        say: told each pair's ratio.

    Returns:
        By what was measured, this checkout's time by the other one's, for each pair.

    Raises:
        BenchError: not each message was answered.
    """
    here, there = Runtime(), Runtime(root=other.resolve())
    ratios: dict[str, list[float]] = {}

    def add(what: str, ratio: float, detail: str) -> None:
        ratios.setdefault(what, []).append(ratio)
        say(f"{what}: {ratio:.3f} ({detail})")

    for number in range(pairs):
        # By turns in who is first, too.
        order = (here, there) if number % 2 else (there, here)
        for name in FORMAT_NAMES:
            source = cluster.full_topic(name, messages)
            rates = {
                system.root: drain(cluster, system, source, messages, format_name=name).rate
                for system in order
            }
            detail = f"{rates[here.root]:,.0f} and {rates[there.root]:,.0f} messages/s"
            add(f"drain {name}", rates[there.root] / rates[here.root], detail)
        found = {
            system.root: latencies(cluster, system, RATE, seconds, format_name="ndarray")
            for system in order
        }
        for percentile in (50, 99):
            mine, theirs = (
                float(np.percentile(found[system.root], percentile)) for system in (here, there)
            )
            add(f"latency p{percentile}", mine / theirs, f"{mine:.2f} and {theirs:.2f} ms")
    return ratios


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares this checkout with another one.

    Returns:
        0 if all was measured, 1 if not, 2 for wrong arguments, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="python -m bench.revisions",
        description="Measures two checkouts by turns, and the ratio of their times.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("other", type=Path, help="the other checkout, whose environment is ours")
    parser.add_argument("--pairs", type=positive_integer, default=10, help="(10)")
    parser.add_argument("--messages", type=positive_integer, default=60_000, help="(60000)")
    parser.add_argument("--seconds", type=positive_integer, default=10, help="of latencies (10)")
    parser.add_argument("--json", type=Path, help="a file that gets the ratios")
    options = parser.parse_args(arguments)
    if not (options.other / "kafka" / "worker").is_dir():
        parser.error(f"{options.other} is no checkout of the runtime")
    try:
        images = images_of_test_split()
    except DatasetError:
        images = bundled_images()
    os.environ.setdefault("_JAVA_OPTIONS", JAVA_OPTIONS)
    try:
        with bed(1, images) as cluster:
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
