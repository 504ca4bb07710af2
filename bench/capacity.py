"""`python -m bench.capacity`: partitions, workers and brokers for a wanted rate.

Computed from the last bench's processor time of each message. What a machine of yours does, only a
bench on it tells: `python -m bench --only drain growth`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.bed import ROOT
from bench.figures import Figures, load
from bench.payloads import FORMAT_NAMES, bundled_images, payloads
from seldon_kafka.config.arguments import positive_integer, positive_number

RESULTS = ROOT / "docs" / "benchmark.json"

# Shares that are planned to be used: the rest is for catching up after a take-over, for rebalances
# and for hours that are busier than the average.
_WORKER_SHARE = 0.6
_BROKER_SHARE = 0.5
_NETWORK_SHARE = 0.6
# A replica dies: its partitions must find others, in parts that are not too large.
_PARTITIONS_A_WORKER = 3
# What Apache Kafka's own blog names for a broker, replicas counted in (2018, for version 1.1).
_REPLICAS_A_BROKER = 4_000
_REPLY_BYTES = 550
"""A reply with its headers and key: 500 for a clear image, by `transport.replies.size_of`."""
_RECORD_BYTES = 90
"""What a request's key, headers and framing add to its value."""

_EXAMPLES = """
examples:
  python -m bench.capacity --rate 1000 --format ndarray
  python -m bench.capacity --rate 100000 --format raw --images 16
  python -m bench.capacity --rate 5000 --p99-ms 50
  python -m bench.capacity --rate 10000000 --format raw --images 256 --broker-cores 32
"""


@dataclass(frozen=True)
class Costs:
    """What a message takes.

    Attributes:
        worker_s: CPU seconds of the worker.
        broker_s: CPU seconds of all brokers together.
        request_bytes: of a request in the log.
        reply_bytes: of its reply.
    """

    worker_s: float
    broker_s: float
    request_bytes: float
    reply_bytes: float


@dataclass(frozen=True)
class Machines:
    """What there is to be had.

    Attributes:
        broker_cores: of each broker.
        network_gbit: of each broker, each way.
        replication: copies of each message.
        retention_h: how long topics keep messages.
    """

    broker_cores: int = 8
    network_gbit: float = 10.0
    replication: int = 3
    retention_h: float = 24.0


@dataclass(frozen=True)
class Need:
    """What a rate asks for.

    Attributes:
        messages: a second.
        workers: of one core each.
        partitions: of the input and of the output topic each.
        brokers: in all.
        bound: what the number of brokers comes from.
        broker_in_mb: megabytes a second into each broker, copies counted in.
        broker_out_mb: megabytes a second out of each broker.
        disk_tb: terabytes on all brokers.
    """

    messages: float
    workers: int
    partitions: int
    brokers: int
    bound: str
    broker_in_mb: float
    broker_out_mb: float
    disk_tb: float


@dataclass(frozen=True)
class Load:
    """A load that was measured.

    Attributes:
        share: of what a worker can do.
        p99_ms: of 100 messages 99 were answered within this.
    """

    share: float
    p99_ms: float


class NoFigures(Exception):
    """The bench has not measured what is needed; the message says how to have it measured."""


def costs(figures: Figures, format_name: str, images: int) -> Costs:
    """What a message of so many images takes, by the last bench.

    The costs of one image a message were measured. What part of them comes anew with each image is
    taken from the growth part: images a second at one and at many images a message.

    Raises:
        NoFigures: they were not measured.
    """
    worker = figures.one(
        "drain cpu",
        part="worker",
        format=format_name,
        workers=1,
        brokers=1,
        processing="exactly_once",
    )
    if worker is None:
        raise NoFigures("no CPU time was measured; run `python -m bench --only drain growth`")
    brokers = [
        figures.one(
            "drain cpu",
            part="broker",
            format=each,
            workers=1,
            brokers=3,
            processing="exactly_once",
        )
        for each in (format_name, "ndarray" if format_name in ("ndarray", "tensor") else "raw")
    ]
    broker = next((each for each in brokers if each is not None), None)
    if broker is None:
        raise NoFigures(
            "no CPU time of three brokers was measured; run `python -m bench --only drain`"
        )
    value_bytes = len(next(payloads(format_name, bundled_images())).value)
    request_bytes = value_bytes * images + _RECORD_BYTES
    one = value_bytes + _RECORD_BYTES + _REPLY_BYTES
    reply_bytes = _REPLY_BYTES + (images - 1) * _REPLY_BYTES / 4
    return Costs(
        worker.spread.median / 1000 * _for_images(figures, format_name, images),
        # Brokers move bytes: their time is taken to grow with them.
        broker.spread.median / 1000 * (request_bytes + reply_bytes) / one,
        request_bytes,
        reply_bytes,
    )


def _for_images(figures: Figures, format_name: str, images: int) -> float:
    """How many times the worker's cost of one image a message with so many images has."""
    if images == 1:
        return 1.0
    measured = "raw" if format_name in ("raw", "bindata", "png") else "ndarray"
    rates = {
        int(each.labels["images"]): each.spread.median
        for each in figures.all("images a message", format=measured)
    }
    if not rates:
        raise NoFigures("no messages of many images were measured: `python -m bench --only growth`")
    nearest = max((each for each in rates if each <= images), default=min(rates))
    return images * rates[min(rates)] / rates[nearest]


def load_for(figures: Figures, p99_ms: float | None) -> Load:
    """The highest measured load, up to the share that is planned, with such a latency or less.

    Args:
        figures: what was measured.
        p99_ms: the latency that is wanted, exactly once; None if any is good.

    Raises:
        NoFigures: no latency was measured, or none is so low.
    """
    carried = figures.one("carried", processing="exactly_once")
    if carried is None:
        raise NoFigures("no latency was measured; run `python -m bench --only latency`")
    loads = []
    for offered in figures.all("offered", processing="exactly_once"):
        measured = figures.one("latency", percentile=99.0, **dict(offered.labels))
        share = offered.spread.median / carried.spread.median
        if measured is not None and share <= _WORKER_SHARE:
            loads.append(Load(share, measured.spread.median))
    quick = [each for each in loads if p99_ms is None or each.p99_ms <= p99_ms]
    if not quick:
        best = min((each.p99_ms for each in loads), default=math.inf)
        raise NoFigures(f"no load was answered so quickly: the best p99 measured is {best:.0f} ms")
    return max(quick, key=lambda each: each.share)


def need(
    rate: float, cost: Costs, machines: Machines, images: int, share: float = _WORKER_SHARE
) -> Need:
    """What so many images a second ask for, with workers busy for such a share of the time."""
    messages = rate / images
    workers = math.ceil(messages * cost.worker_s / share)
    partitions = max(12, workers * _PARTITIONS_A_WORKER)
    stored = messages * (cost.request_bytes + cost.reply_bytes)
    copies = stored * machines.replication
    # Each copy is received once; the leader's is sent to the others, and to who consumes it.
    sent = stored * machines.replication
    capacity = machines.network_gbit * 1e9 / 8 * _NETWORK_SHARE
    by = {
        "three, to survive one": 3,
        "processor": math.ceil(messages * cost.broker_s / (machines.broker_cores * _BROKER_SHARE)),
        "network": math.ceil(max(copies, sent) / capacity),
        "partitions": math.ceil(2 * partitions * machines.replication / _REPLICAS_A_BROKER),
    }
    bound = max(by, key=lambda each: by[each])
    brokers = by[bound]
    return Need(
        messages,
        workers,
        partitions,
        brokers,
        bound,
        copies / brokers / 1e6,
        sent / brokers / 1e6,
        copies * machines.retention_h * 3600 / 1e12,
    )


def table(rate: float, format_name: str, images: int, found: Need, load: Load) -> str:
    """The need as lines of text, with the latency that was measured at such a load."""
    return "\n".join(
        (
            f"{rate:,.0f} images a second as {format_name}, {images} in each message:",
            f"  messages     {found.messages:,.0f} a second",
            f"  workers      {found.workers:,} of one core each",
            f"  partitions   {found.partitions:,} of the input and of the output topic each",
            f"  brokers      {found.brokers:,} (bound by {found.bound})",
            f"  network      {found.broker_in_mb:,.0f} MB/s into and "
            f"{found.broker_out_mb:,.0f} MB/s out of each broker",
            f"  disk         {found.disk_tb:,.2f} TB on all brokers",
            f"  latency      p99 {load.p99_ms:,.0f} ms, as at {load.share:.0%} of what the bench's "
            "worker can do",
        )
    )


def answer(arguments: Sequence[str] | None = None) -> str:
    """What the command prints for these arguments.

    Raises:
        NoFigures: the bench has not measured what is needed.
        OSError: what it has measured can't be read.
        SystemExit: the arguments are wrong.
    """
    parser = argparse.ArgumentParser(
        prog="python -m bench.capacity",
        description="How many partitions, workers and brokers a rate asks for.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rate", type=positive_number, required=True, help="images a second")
    parser.add_argument("--format", choices=FORMAT_NAMES, default="ndarray", help="(ndarray)")
    parser.add_argument("--images", type=positive_integer, default=1, help="in a message (1)")
    known = Machines()
    parser.add_argument(
        "--p99-ms", type=positive_number, help="wanted latency, exactly once; any by default"
    )
    parser.add_argument("--broker-cores", type=positive_integer, default=known.broker_cores)
    parser.add_argument("--network-gbit", type=positive_number, default=known.network_gbit)
    parser.add_argument("--replication", type=positive_integer, default=known.replication)
    parser.add_argument("--retention-hours", type=positive_number, default=known.retention_h)
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"({RESULTS.name})")
    options = parser.parse_args(arguments)
    machines = Machines(
        options.broker_cores, options.network_gbit, options.replication, options.retention_hours
    )
    if options.format == "png" and options.images > 1:
        parser.error("a PNG message holds one image")
    figures = load([options.results])
    cost = costs(figures, options.format, options.images)
    measured = load_for(figures, options.p99_ms)
    share = _WORKER_SHARE if options.p99_ms is None else measured.share
    found = need(options.rate, cost, machines, options.images, share)
    return table(options.rate, options.format, options.images, found, measured)


def main() -> int:
    """Print what a rate asks for.

    Returns:
        0; 1 if the bench has not measured what is needed; 2 for wrong arguments.
    """
    try:
        print(answer())
    except (NoFigures, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
