"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.capacity import MissingFigures
from bench.capacity_page import FILE, refresh
from bench.cluster import ROOT, BenchError
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
  python -m bench                          all parts, three times; takes hours
  python -m bench --only pipeline          one part, in a minute
  python -m bench --only peers latency --repetitions 5
  python -m bench --quick                  tests that the benchmark runs, in a minute
  python -m bench --report                 writes docs/benchmark.md from the saved figures

New figures of a part replace its earlier figures in docs/benchmark.json. The report and
`python -m bench.capacity` read that file.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the parts that the arguments name.

    Returns:
        0 on success, 1 on an error, 2 for wrong arguments, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (BenchError, WrongAnswer, ClusterError, DatasetError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the figures of complete repetitions are kept\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures this runtime and comparable systems, and writes a report.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help="test that the benchmark works, store no figures"
    )
    parser.add_argument("--report", action="store_true", help="write the report, measure nothing")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, metavar="PART", help=", ".join(SECTIONS)
    )
    parser.add_argument(
        "--repetitions", type=positive_integer, default=3, help="repetitions of each part (3)"
    )
    parser.add_argument(
        "--messages", type=positive_integer, default=200_000, help="messages in a topic (200000)"
    )
    parser.add_argument(
        "--seconds",
        type=positive_number,
        default=20,
        help="seconds of each latency measurement (20)",
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help=f"file of figures ({RESULTS.name})"
    )
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.quick:
        quick(bundled_images(), _print_step)
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
    except MissingFigures as error:
        sys.stderr.write(f"{page} was not changed: {error}\n")


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
                _print_step(f"{name} {repetition + 1}/{options.repetitions}: {step}")
            _save(options.results, figures)


def _facts(name: str, options: argparse.Namespace) -> dict[str, str]:
    found = facts()
    # The parts may be measured on different days, by different commands.
    own = {f"{fact} {name}": found.pop(fact) for fact in ("date", "revision")}
    return {**found, **own, f"command {name}": _command(name, options)}


def _save(results: Path, figures: Figures) -> None:
    part = results.with_suffix(".part")
    save(figures, part)
    save(load([path for path in (results, part) if path.exists()]), results)
    part.unlink()


def _command(name: str, options: argparse.Namespace) -> str:
    words = ["python", "-m", "bench", "--only", name, "--repetitions", str(options.repetitions)]
    words += ["--messages", str(options.messages), "--seconds", f"{options.seconds:g}"]
    return shlex.join(words)


_STARTED = time.monotonic()


def _print_step(step: str) -> None:
    print(f"{time.monotonic() - _STARTED:6.0f} s  {step}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
