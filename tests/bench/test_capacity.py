"""The calculator of partitions, workers and brokers, and its page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.capacity import (
    RESULTS,
    Costs,
    Load,
    Machines,
    MissingFigures,
    costs,
    load_for,
    requirement,
)
from bench.capacity_page import FILE, refreshed
from bench.cluster import ROOT
from bench.figures import Figures

COST = Costs(worker_s=80e-6, broker_s=40e-6, request_bytes=2_100, reply_bytes=650)


def test_a_small_rate_needs_three_brokers_to_survive_one() -> None:
    found = requirement(1_000, COST, Machines(), images=1)
    assert (found.workers, found.brokers, found.bound) == (1, 3, "three, to survive one")


def test_workers_have_spare_capacity() -> None:
    found = requirement(100_000, COST, Machines(), images=1)
    assert found.workers == 14  # 8 cores at 60 %
    assert found.partitions == 42


def test_a_slow_network_bounds_the_number_of_brokers_at_a_large_rate() -> None:
    slow = requirement(10_000_000, COST, Machines(network_gbit=1, broker_cores=64), images=1)
    assert slow.bound == "network"
    assert slow.broker_in_mb <= 1e9 / 8 * 0.6 / 1e6
    fast = requirement(10_000_000, COST, Machines(network_gbit=100), images=1)
    assert fast.bound == "processor"


def test_more_images_in_a_message_need_fewer_messages() -> None:
    assert requirement(1_000, COST, Machines(), images=10).messages == 100


def measured_latencies() -> Figures:
    """Returns figures of a worker that answers 10,000 messages a second."""
    figures = Figures()
    figures.add("carried", "messages/s", 10_000, processing="exactly_once")
    for load, offered, p99_ms in (("a", 100, 20), ("b", 5_000, 90), ("c", 8_000, 400)):
        labels = {"processing": "exactly_once", "load": load}
        figures.add("offered", "messages/s", offered, **labels)
        figures.add("latency", "ms", p99_ms, percentile=99.0, **labels)
    return figures


def test_a_lower_latency_needs_more_workers() -> None:
    figures = measured_latencies()
    assert load_for(figures, None) == load_for(figures, 100) == Load(0.5, 90)
    busy, fast = (requirement(100_000, COST, Machines(), 1, share) for share in (0.5, 0.01))
    assert load_for(figures, 50) == Load(0.01, 20)
    assert fast.workers == 50 * busy.workers


def test_a_latency_below_every_measured_one_is_refused() -> None:
    with pytest.raises(MissingFigures, match="the best p99 measured is 20 ms"):
        load_for(measured_latencies(), 10)


def test_the_error_without_figures_names_the_command() -> None:
    with pytest.raises(MissingFigures, match="python -m bench"):
        costs(Figures(), "ndarray", 1)


def test_the_command_without_figures_names_the_one_to_run(tmp_path: Path) -> None:
    empty = tmp_path / "none.json"
    empty.write_text(json.dumps({"facts": {}, "figures": []}))
    command = [sys.executable, "-m", "bench.capacity", "--rate", "10", "--results", str(empty)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no CPU time was measured; run `python -m bench")


def test_the_page_shows_the_output_for_the_last_benchmark() -> None:
    page = (RESULTS.parent / FILE).read_text("utf-8")
    assert page.count("$ python -m bench.capacity") >= 6
    assert refreshed(page, RESULTS) == page, "run `python -m bench --report`"


def test_output_in_the_page_is_replaced_and_text_is_kept() -> None:
    page = (RESULTS.parent / FILE).read_text("utf-8")
    stale = re.sub(r"^  workers .*\n", "", page, flags=re.MULTILINE)
    assert stale != page
    assert refreshed(stale, RESULTS) == page
