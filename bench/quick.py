"""Runs the benchmark for a minute to test that it works, and stores no figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench import pipeline
from bench.cluster import bench_cluster
from bench.drain import drain
from bench.figures import Figures
from bench.latency import latencies
from bench.systems import Runtime

_MESSAGES = 4_000
_RATE = 50.0
_SECONDS = 3.0


def quick(images: NDArray[np.uint8], report: Callable[[str], None]) -> None:
    """Runs the pipeline, two drains and one latency measurement, each for a few seconds.

    Args:
        images: uint8 (n, 28, 28).
        report: called with the name or the result of each step.

    Raises:
        BenchError: not every message was answered.
        WrongAnswer: the pipeline rejected a message.
    """
    for step in pipeline.measure(Figures(), images, 0.02):
        report(step)
    with bench_cluster(1, images) as cluster:
        for format_name in ("ndarray", "raw"):
            source = cluster.full_topic(format_name, _MESSAGES)
            found = drain(cluster, Runtime(), source, _MESSAGES, format_name=format_name)
            report(f"drain, {format_name}: {found.rate:,.0f} messages a second")
        found_ms = latencies(cluster, Runtime(), _RATE, _SECONDS, format_name="ndarray")
        report(f"latency: {len(found_ms)} messages, median {np.median(found_ms):.1f} ms")
