"""`python -m tests.faults`: injects faults under load, and checks that every promise holds."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from confluent_kafka import KafkaException

from kafka.cluster.lease import leased
from kafka.cluster.local import Cluster
from kafka.cluster.state import ClusterError
from kafka.guard import Guard
from tests.faults import link, report
from tests.faults.catalogue import FAULTS
from tests.faults.catalogue.brokers import unmount_fourth
from tests.faults.context import NotRecovered, RunContext
from tests.faults.environment import connection
from tests.faults.fault import Fault, FaultNotObserved
from tests.faults.outcome import document
from tests.faults.run import Run
from tests.faults.soak import soak

_EXAMPLES = """
examples:
  python -m tests.faults                     20 minutes on three brokers of its own
  python -m tests.faults --minutes 5 --seed 7
  python -m tests.faults --only 'SIGKILL' --minutes 2
  python -m tests.faults --list
  python -m tests.faults --soak 30
  KAFKA_BROKER=staging:9092 python -m tests.faults
                                             on your brokers: creates topics and deletes
                                             them; no fault of brokers is injected

Without root, a run leaves out the network, memory and disk faults, and says so.
"""
# Time to measure the drain rate, and to end the last fault and the replicas.
_RESERVE_S = 70.0
# With the lower share, a quick run's backlogs are drained soon after each fault.
_LOAD_SHARE, _QUICK_LOAD_SHARE = 0.5, 0.25
# Seconds that it takes to read back one second's messages.
_READ_BACK_SHARE = 0.18


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the harness.

    Returns:
        0 if every promise was kept, 1 if not, 2 for wrong arguments, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    faults = [f for f in FAULTS if any(part in f.name for part in options.only or [""])]
    if options.quick:
        faults = [fault for fault in faults if fault.quick]
    if options.list:
        for fault in faults:
            print(fault.name)
        return 0
    if not faults:
        print("error: no fault has such a name; --list prints all names", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    # The clients' errors are expected, because brokers are broken on purpose.
    logging.getLogger("seldon_kafka.client").setLevel(logging.CRITICAL)
    try:
        with contextlib.closing(Guard()):
            return _run(options, faults)
    except (ClusterError, NotRecovered, FaultNotObserved, KafkaException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; everything that this run started has ended", file=sys.stderr)
        return 130


def _interrupt(number: int, frame: object) -> None:
    """Raises KeyboardInterrupt once; later signals do not interrupt the clean-up."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda number, frame: None)
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="Injects faults under load, and checks that no message is lost, doubled, "
        "reordered or answered wrongly.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=20, help="duration of the run (20)")
    parser.add_argument("--seed", type=int, help="seed of the schedule (default: random)")
    parser.add_argument(
        "--only", action="append", metavar="PART", help="faults with this text in their name"
    )
    parser.add_argument(
        "--quick", action="store_true", help="inject each of the quicker faults once, mixed"
    )
    parser.add_argument(
        "--backlog", type=int, default=80_000, help="messages for the drain rate (80000)"
    )
    parser.add_argument(
        "--soak", type=float, metavar="MINUTES", help="measure memory under full load, no faults"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the faults")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcome to this file")
    parser.add_argument("--keep", action="store_true", help="keep logs and topics")
    return parser


def _run(options: argparse.Namespace, faults: Sequence[Fault]) -> int:
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    print(f"seed {seed}; logs in {folder}", flush=True)
    good = False
    try:
        with _context(folder, seed, options.keep) as context:
            if options.soak:
                found = soak(context, options.soak * 60, _print_line)
                report.show_soak(found)
                if options.json:
                    options.json.write_bytes(document(found))
                good = True
                return 0
            seconds = None
            if not options.quick:
                left_s = options.minutes * 60 - (time.monotonic() - began) - _RESERVE_S
                seconds = left_s / (1 + _READ_BACK_SHARE)
            share = _QUICK_LOAD_SHARE if options.quick else _LOAD_SHARE
            outcome = Run(context, faults, seed, seconds, share, _print_line).run(options.backlog)
        good = not outcome.failures
        report.show(outcome)
        if options.json:
            options.json.write_bytes(document(outcome))
        return 0 if good else 1
    finally:
        if good and not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _context(folder: Path, seed: int, keep: bool) -> Iterator[RunContext]:
    name = f"faults-{seed}-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        cluster: Cluster | None = None
        network: link.Link | None = None
        environ = connection(os.environ)
        if "KAFKA_BROKER" not in environ:
            if link.why_impossible() is None:
                network = stack.enter_context(link.Link())
            _print_line("starting three brokers")
            cluster = stack.enter_context(
                leased(folder / "cluster", brokers=3, host=network.here if network else None)
            )
            stack.callback(_unmount, cluster)
            environ = {"KAFKA_BROKER": cluster.bootstrap}
        context = RunContext(environ, name, folder, cluster, network, seed)
        try:
            context.make_topics()
            yield context
        finally:
            context.end()
            if cluster is None and not keep:
                context.delete_topics()


def _unmount(cluster: Cluster) -> None:
    cluster.down(delete=False)
    unmount_fourth(cluster)


def _print_line(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
