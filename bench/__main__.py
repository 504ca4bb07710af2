"""The command line of the bench."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.bed import ROOT, BenchError
from bench.capacity import NoFigures
from bench.capacity_page import FILE, refresh
from bench.environments import make_environments
from bench.facts import facts
from bench.figures import Figures, load, save
from bench.payloads import bundled_images, images_of_test_split
from bench.pipeline import WrongAnswer
from bench.quick import quick
from bench.report import write_report
from bench.sections import SECTIONS, Plan
from kafka.cluster.state import ClusterError
from model.dataset import DatasetError
from seldon_kafka.config.arguments import positive_integer, positive_number

RESULTS = ROOT / "docs" / "benchmark.json"

_EXAMPLES = """
examples:
  python -m bench                          everything, three times; hours
  python -m bench --only pipeline          one part, in a minute
  python -m bench --only peers latency --repetitions 5
  python -m bench --quick                  a minute: does it run?
  python -m bench --report                 writes docs/benchmark.md anew from what was measured

Each part's figures replace its earlier ones in docs/benchmark.json, from which the report and
`python -m bench.capacity` are made.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the arguments say.

    Returns:
        0 if all was measured, 1 if not, 2 for wrong arguments, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (BenchError, WrongAnswer, ClusterError, DatasetError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; what was measured before is kept\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures this runtime, alone and beside others, and writes a report.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a small run that proves nothing")
    parser.add_argument("--report", action="store_true", help="only write the report")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, metavar="PART", help=", ".join(SECTIONS)
    )
    parser.add_argument("--repetitions", type=positive_integer, default=3, help="of all (3)")
    parser.add_argument(
        "--messages", type=positive_integer, default=200_000, help="in a full topic (200000)"
    )
    parser.add_argument(
        "--seconds", type=positive_number, default=20, help="at each load, for latency (20)"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"({RESULTS.name})")
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.quick:
        quick(bundled_images(), _say)
        return 0
    if not options.report:
        _measure(options)
    folder = options.results.parent
    print(f"wrote {write_report(load([options.results]), folder)}")
    page = folder / FILE
    if page.exists():
        _refresh(page, options.results)
    return 0


def _refresh(page: Path, results: Path) -> None:
    try:
        refresh(page, results)
        print(f"wrote {page}")
    except NoFigures as error:
        sys.stderr.write(f"{page} stays as it is: {error}\n")


def _measure(options: argparse.Namespace) -> None:
    names = options.only or list(SECTIONS)
    plan = Plan(
        np.asarray(images_of_test_split()), messages=options.messages, seconds=options.seconds
    )
    if "peers" in names:
        make_environments()
    for name in names:
        figures = Figures(facts=_facts(name, options))
        for repetition in range(options.repetitions):
            for step in SECTIONS[name](plan, figures):
                _say(f"{name} {repetition + 1}/{options.repetitions}: {step}")
            _keep(options.results, figures)


def _facts(name: str, options: argparse.Namespace) -> dict[str, str]:
    found = facts()
    # Parts may be measured on different days, by different commands.
    own = {f"{fact} {name}": found.pop(fact) for fact in ("date", "revision")}
    return {**found, **own, f"command {name}": _command(name, options)}


def _keep(results: Path, figures: Figures) -> None:
    earlier = results.with_suffix(".part")
    save(figures, earlier)
    save(load([path for path in (results, earlier) if path.exists()]), results)
    earlier.unlink()


def _command(name: str, options: argparse.Namespace) -> str:
    words = ["python", "-m", "bench", "--only", name, "--repetitions", str(options.repetitions)]
    words += ["--messages", str(options.messages), "--seconds", f"{options.seconds:g}"]
    return shlex.join(words)


_STARTED = time.monotonic()


def _say(step: str) -> None:
    print(f"{time.monotonic() - _STARTED:6.0f} s  {step}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
