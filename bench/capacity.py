"""`python -m bench.capacity`: partitions, workers and brokers for a given rate.

The numbers follow from the CPU time of a message in the last benchmark. To plan for another
machine, first run `python -m bench --only drain growth` on that machine.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cluster import ROOT
from bench.figures import Figures, load
from bench.payloads import FORMAT_NAMES, bundled_images, payloads
from seldon_kafka.config.arguments import positive_integer, positive_number

RESULTS = ROOT / "docs" / "benchmark.json"

# Planned shares of the capacity of a worker, a broker and its network. The rest is for backlogs
# after a worker's failure, for rebalances and for busy hours.
_WORKER_SHARE = 0.6
_BROKER_SHARE = 0.5
_NETWORK_SHARE = 0.6
# The partitions of a worker that failed move to the other workers. The more partitions each worker
# has, the more evenly the load of a failed worker spreads.
_PARTITIONS_A_WORKER = 3
# Maximum number of partition replicas on a broker, as Apache Kafka's blog recommends (2018,
# version 1.1).
_REPLICAS_A_BROKER = 4_000
_REPLY_BYTES = 550
"""Size of a reply with one image, in bytes: 500 for the value, the rest for headers and key."""
_RECORD_BYTES = 90
"""Size of an input message's key, headers and framing, in bytes."""

_EXAMPLES = """
examples:
  python -m bench.capacity --rate 1000 --format ndarray
  python -m bench.capacity --rate 100000 --format raw --images 16
  python -m bench.capacity --rate 5000 --p99-ms 50
  python -m bench.capacity --rate 10000000 --format raw --images 256 --broker-cores 32
"""


@dataclass(frozen=True)
class Costs:
    """The costs of a message.

    Attributes:
        worker_s: CPU seconds of the worker.
        broker_s: CPU seconds of all brokers together.
        request_bytes: size of the input message in the broker's log, in bytes.
        reply_bytes: size of the reply in the broker's log, in bytes.
    """

    worker_s: float
    broker_s: float
    request_bytes: float
    reply_bytes: float


@dataclass(frozen=True)
class Machines:
    """The machines and topics that are planned for.

    Attributes:
        broker_cores: cores of each broker.
        network_gbit: network of each broker in gigabits a second, in each direction.
        replication: replicas of each partition.
        retention_h: retention of the topics in hours.
    """

    broker_cores: int = 8
    network_gbit: float = 10.0
    replication: int = 3
    retention_h: float = 24.0


@dataclass(frozen=True)
class Requirement:
    """The resources for a rate.

    Attributes:
        messages: messages a second.
        workers: number of workers, with one core each.
        partitions: partitions of the input topic; the output topic has as many.
        brokers: number of brokers.
        bound: name of the limit that sets the number of brokers.
        broker_in_mb: megabytes a second into each broker, replication included.
        broker_out_mb: megabytes a second out of each broker.
        disk_tb: terabytes on all brokers together, replication included.
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
    """A measured load.

    Attributes:
        share: the load's share of the worker's highest rate.
        p99_ms: 99th percentile of the latency at this load, in milliseconds.
    """

    share: float
    p99_ms: float


class MissingFigures(Exception):
    """The benchmark has no figures for the request; the message says how to get them."""


def costs(figures: Figures, format_name: str, images: int) -> Costs:
    """Returns the costs of a message in the last benchmark.

    The benchmark measured the costs of messages of one image. For more images, the worker's cost
    grows as the rates in the part `growth` show, and the brokers' cost grows with the bytes.

    Args:
        figures: figures of the benchmark.
        format_name: name of the wire format.
        images: number of images in a message.

    Raises:
        MissingFigures: the costs were not measured.
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
        raise MissingFigures("no CPU time was measured; run `python -m bench --only drain growth`")
    # If a format was not measured with three brokers, a format of similar size replaces it.
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
        raise MissingFigures(
            "no CPU time of three brokers was measured; run `python -m bench --only drain`"
        )
    value_bytes = len(next(payloads(format_name, bundled_images())).value)
    request_bytes = value_bytes * images + _RECORD_BYTES
    one = value_bytes + _RECORD_BYTES + _REPLY_BYTES
    # Each further image adds about a quarter of a reply with one image.
    reply_bytes = _REPLY_BYTES + (images - 1) * _REPLY_BYTES / 4
    return Costs(
        worker.spread.median / 1000 * _for_images(figures, format_name, images),
        # The brokers' CPU time is assumed to be proportional to the bytes.
        broker.spread.median / 1000 * (request_bytes + reply_bytes) / one,
        request_bytes,
        reply_bytes,
    )


def _for_images(figures: Figures, format_name: str, images: int) -> float:
    """Returns the worker's cost of a message of several images, as a multiple of one image's.

    Raises:
        MissingFigures: messages of several images were not measured.
    """
    if images == 1:
        return 1.0
    measured = "raw" if format_name in ("raw", "bindata", "png") else "ndarray"
    rates = {
        int(each.labels["images"]): each.spread.median
        for each in figures.all("images a message", format=measured)
    }
    if not rates:
        raise MissingFigures(
            "messages of several images were not measured; run `python -m bench --only growth`"
        )
    nearest = max((each for each in rates if each <= images), default=min(rates))
    return images * rates[min(rates)] / rates[nearest]


def load_for(figures: Figures, p99_ms: float | None) -> Load:
    """Returns the highest measured load that meets a latency, with exactly-once processing.

    Loads above the planned share of a worker's capacity are left out.

    Args:
        figures: figures of the benchmark.
        p99_ms: limit of the 99th percentile of the latency in milliseconds; None allows any.

    Raises:
        MissingFigures: no latency was measured, or every measured latency is above the limit.
    """
    carried = figures.one("carried", processing="exactly_once")
    if carried is None:
        raise MissingFigures("no latency was measured; run `python -m bench --only latency`")
    loads = []
    for offered in figures.all("offered", processing="exactly_once"):
        measured = figures.one("latency", percentile=99.0, **dict(offered.labels))
        share = offered.spread.median / carried.spread.median
        if measured is not None and share <= _WORKER_SHARE:
            loads.append(Load(share, measured.spread.median))
    fast = [each for each in loads if p99_ms is None or each.p99_ms <= p99_ms]
    if not fast:
        if not loads:
            raise MissingFigures(f"no measured load is at most {_WORKER_SHARE:.0%} of the highest")
        best = min(each.p99_ms for each in loads)
        raise MissingFigures(f"no load had such a latency: the best p99 measured is {best:.0f} ms")
    return max(fast, key=lambda each: each.share)


def requirement(
    rate: float, cost: Costs, machines: Machines, images: int, share: float = _WORKER_SHARE
) -> Requirement:
    """Returns the resources for a rate.

    Args:
        rate: images a second.
        cost: costs of a message.
        machines: machines and topics to plan for.
        images: number of images in a message.
        share: share of the time in which a worker is busy.
    """
    messages = rate / images
    workers = math.ceil(messages * cost.worker_s / share)
    partitions = max(12, workers * _PARTITIONS_A_WORKER)
    stored = messages * (cost.request_bytes + cost.reply_bytes)
    copies = stored * machines.replication
    # Each replica receives a message once. The leader sends it to each follower and one consumer.
    sent = stored * machines.replication
    capacity = machines.network_gbit * 1e9 / 8 * _NETWORK_SHARE
    needed = {
        "three, to survive one": 3,
        "processor": math.ceil(messages * cost.broker_s / (machines.broker_cores * _BROKER_SHARE)),
        "network": math.ceil(max(copies, sent) / capacity),
        "partitions": math.ceil(2 * partitions * machines.replication / _REPLICAS_A_BROKER),
    }
    bound = max(needed, key=lambda each: needed[each])
    brokers = needed[bound]
    return Requirement(
        messages,
        workers,
        partitions,
        brokers,
        bound,
        copies / brokers / 1e6,
        sent / brokers / 1e6,
        copies * machines.retention_h * 3600 / 1e12,
    )


def table(rate: float, format_name: str, images: int, found: Requirement, load: Load) -> str:
    """Returns a requirement as text, with the latency that was measured at the given load."""
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
            f"  latency      p99 {load.p99_ms:,.0f} ms, measured at {load.share:.0%} of the "
            "worker's highest rate",
        )
    )


def command_output(arguments: Sequence[str] | None = None) -> str:
    """Returns the output of the command for these arguments.

    Raises:
        MissingFigures: the benchmark has no figures for these arguments.
        OSError: the figures cannot be read.
        SystemExit: the arguments are wrong.
    """
    parser = argparse.ArgumentParser(
        prog="python -m bench.capacity",
        description="Computes the partitions, workers and brokers for a rate.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rate", type=positive_number, required=True, help="images a second")
    parser.add_argument(
        "--format", choices=FORMAT_NAMES, default="ndarray", help="wire format (ndarray)"
    )
    parser.add_argument(
        "--images", type=positive_integer, default=1, help="images in a message (1)"
    )
    known = Machines()
    parser.add_argument(
        "--p99-ms", type=positive_number, help="limit of the p99 latency, exactly once (none)"
    )
    parser.add_argument("--broker-cores", type=positive_integer, default=known.broker_cores)
    parser.add_argument("--network-gbit", type=positive_number, default=known.network_gbit)
    parser.add_argument("--replication", type=positive_integer, default=known.replication)
    parser.add_argument("--retention-hours", type=positive_number, default=known.retention_h)
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help=f"file of figures ({RESULTS.name})"
    )
    options = parser.parse_args(arguments)
    machines = Machines(
        options.broker_cores, options.network_gbit, options.replication, options.retention_hours
    )
    if options.format == "png" and options.images > 1:
        parser.error("a PNG message has one image")
    figures = load([options.results])
    cost = costs(figures, options.format, options.images)
    measured = load_for(figures, options.p99_ms)
    share = _WORKER_SHARE if options.p99_ms is None else measured.share
    found = requirement(options.rate, cost, machines, options.images, share)
    return table(options.rate, options.format, options.images, found, measured)


def main() -> int:
    """Prints the resources for a rate.

    Returns:
        0 on success, 1 without the needed figures, 2 for wrong arguments.
    """
    try:
        print(command_output())
    except (MissingFigures, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
