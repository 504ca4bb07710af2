"""A minute's run of the bench, which shows that it works and measures nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench import pipeline
from bench.bed import bed
from bench.drain import drain
from bench.figures import Figures
from bench.latency import latencies
from bench.systems import Runtime

_MESSAGES = 4_000
_RATE = 50.0
_SECONDS = 3.0


def quick(images: NDArray[np.uint8], say: Callable[[str], None]) -> None:
    """Run a little of each part that needs nothing but this repository.

    Args:
        images: uint8 (n, 28, 28).
        say: told what is done.

    Raises:
        BenchError: not each message was answered.
    """
    for step in pipeline.measure(Figures(), images, 0.02):
        say(step)
    with bed(1, images) as cluster:
        for format_name in ("ndarray", "raw"):
            source = cluster.full_topic(format_name, _MESSAGES)
            found = drain(cluster, Runtime(), source, _MESSAGES, format_name=format_name)
            say(f"drain, {format_name}: {found.rate:,.0f} messages a second")
        found_ms = latencies(cluster, Runtime(), _RATE, _SECONDS, format_name="ndarray")
        say(f"latency: {len(found_ms)} messages, median {np.median(found_ms):.1f} ms")
