"""The parts of the benchmark, with a function for each part.

A call of a function measures one repetition. It adds the results to the figures, and yields the
name of each step before the step.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench import pipeline, shares
from bench.cluster import PARTITIONS, ROOT, BenchCluster, bench_cluster
from bench.drain import Drain, add_drain, drain
from bench.figures import Figures
from bench.latency import (
    ALONE_LOADS,
    PERCENTILES,
    SHARED_LOADS,
    idle_share,
    latencies,
    percentiles,
    shared_rate,
)
from bench.payloads import FORMAT_NAMES
from bench.systems import PEERS, Peer, Runtime, System
from model.chosen import VARIANTS

PROCESSING = ("exactly_once", "at_least_once")
# Formats that are also measured with several workers, brokers and images in a message.
_THOROUGH = ("ndarray", "raw")
_REST = "seldon_rest"
_REST_FORMATS = ("ndarray", "tensor", "bindata")
_TRAIN_PYTHON = ROOT / ".venv-train" / "bin" / "python"
_KERAS = "bench.keras_example.KerasExample"
# For slow peers and for the slow neural network, the number of messages is divided by these
# numbers, so that all drains take about equally long.
_SLOW = {"faust": 4, "quix": 2}
_SLOW_VARIANT = {"accurate": 4}
_RATES = (10, 100, 1000)
_IDLE_S = 10.0
_SHARE = 0.24
"""Share of a core for each worker; four workers leave a little of one core to the system."""


@dataclass(frozen=True)
class Plan:
    """The extent of the measurements.

    Attributes:
        images: uint8 (n, 28, 28).
        messages: number of messages in a topic that is drained.
        slow_messages: as `messages`, for systems that answer only some hundred messages a second.
        seconds: duration of a case that has no fixed number of messages.
        backlogs: numbers of messages for the part `growth`.
    """

    images: NDArray[np.uint8]
    messages: int = 200_000
    slow_messages: int = 3_000
    seconds: float = 20.0
    backlogs: tuple[int, ...] = (10_000, 100_000, 1_000_000)


Section = Callable[[Plan, Figures], Iterator[str]]


def without_kafka(plan: Plan, figures: Figures) -> Iterator[str]:
    """Measures the model alone, and the pipeline without Kafka."""
    return pipeline.measure(figures, plan.images, min(1.0, plan.seconds))


def end_to_end(plan: Plan, figures: Figures) -> Iterator[str]:
    """Drains topics of all formats, and two formats with several workers and brokers too.

    Each case is measured with exactly-once and with at-least-once processing.
    """
    for brokers in (1, 3):
        with bench_cluster(brokers, plan.images) as cluster:
            for format_name in _THOROUGH if brokers == 3 else FORMAT_NAMES:
                for workers in (1, 2, 4) if format_name in _THOROUGH else (1,):
                    for processing in PROCESSING:
                        labels = {
                            "format": format_name,
                            "workers": workers,
                            "brokers": brokers,
                            "processing": processing,
                        }
                        yield "drain, " + ", ".join(f"{k} {v}" for k, v in labels.items())
                        found = _drained(
                            cluster,
                            Runtime(workers, processing),
                            plan.messages,
                            format_name,
                            members=workers,
                        )
                        add_drain(figures, "drain", found, **labels)
                cluster.drop_full()


def side_by_side(plan: Plan, figures: Figures) -> Iterator[str]:
    """Drains topics with this runtime and with its peers, on one broker."""
    systems: dict[str, System] = {"ours": Runtime(), **{name: Peer(name) for name in PEERS}}
    with bench_cluster(1, plan.images) as cluster:
        for format_name in FORMAT_NAMES:
            for name, system in systems.items():
                if name == _REST and format_name not in _REST_FORMATS:
                    continue
                yield f"{name}, {format_name}"
                count = plan.messages // _SLOW.get(name, 1)
                found = _drained(
                    cluster, system, plan.slow_messages if name == _REST else count, format_name
                )
                add_drain(figures, "system", found, system=name, format=format_name)
            cluster.drop_full()
        if _TRAIN_PYTHON.exists():
            yield from _with_keras_example(plan, figures, cluster)


def _with_keras_example(plan: Plan, figures: Figures, cluster: BenchCluster) -> Iterator[str]:
    """Measures Keras's example: in this runtime, in Seldon's REST server, and alone.

    The report quotes rates of Seldon's executor, which were measured with the same example.
    """
    ours = Runtime(class_name=_KERAS, python=_TRAIN_PYTHON)
    rest = Peer(_REST, _KERAS, _TRAIN_PYTHON)
    systems: dict[str, tuple[System, int]] = {
        "ours, Keras example": (ours, plan.slow_messages * 10),
        f"{_REST}, Keras example": (rest, plan.slow_messages),
    }
    for name, (system, count) in systems.items():
        yield f"{name}, ndarray"
        found = _drained(cluster, system, count)
        add_drain(figures, "system", found, system=name, format="ndarray")
    cluster.drop_full()
    yield "the Keras example alone"
    command = [str(_TRAIN_PYTHON), "-m", "bench.keras_example"]
    ended = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    figures.add("Keras example alone", "images/s", float(ended.stdout))


def latency(plan: Plan, figures: Figures) -> Iterator[str]:
    """Measures open-loop latency at fixed loads, and at shares of the worker's rates.

    A worker's rate beside sender and reader is lower than its rate alone, because all three share
    the cores.
    """
    with bench_cluster(1, plan.images) as cluster:
        yield "an idle worker"
        figures.add("idle", "%", idle_share(cluster, Runtime(), _IDLE_S) * 100)
        for processing in PROCESSING:
            yield f"drain rate for the latency, {processing}"
            system = Runtime(processing=processing)
            found = _drained(cluster, system, plan.messages)
            if processing == "exactly_once":
                figures.add("first answer", "s", found.first_answer_s)
            yield f"rate beside sender and reader, {processing}"
            shared = shared_rate(cluster, system, found.rate, plan.seconds, format_name="ndarray")
            figures.add("carried", "messages/s", shared, processing=processing)
            offers = {str(each): float(each) for each in _RATES}
            offers |= {load: shared * share for share, load in SHARED_LOADS.items()}
            offers |= {load: found.rate * share for share, load in ALONE_LOADS.items()}
            for load, offered in offers.items():
                yield f"latency, {processing}, {offered:,.0f} messages a second"
                taken = latencies(cluster, system, offered, plan.seconds, format_name="ndarray")
                labels = {"processing": processing, "load": load}
                figures.add("offered", "messages/s", offered, **labels)
                for percentile, value in zip(PERCENTILES, percentiles(taken), strict=True):
                    figures.add("latency", "ms", value, percentile=percentile, **labels)


def scaling(plan: Plan, figures: Figures) -> Iterator[str]:
    """Measures the rates of one, two and four workers.

    Each worker has the same share of a core, and the broker has a core that no worker uses.
    """
    why = shares.why_impossible()
    if why is not None:
        yield f"scaling cannot be measured here: {why}"
        return
    with bench_cluster(1, plan.images) as cluster:
        for workers in (1, 2, 4):
            yield f"scaling, {workers} workers of {_SHARE} cores"
            found = _drained(
                cluster,
                Runtime(workers),
                plan.messages // 8 * workers,
                members=workers,
                share=_SHARE,
            )
            add_drain(figures, "scaling", found, workers=workers)
            cluster.drop_full()


def growth(plan: Plan, figures: Figures) -> Iterator[str]:
    """Measures rates with long backlogs, many partitions, and many images in a message."""
    with bench_cluster(1, plan.images) as cluster:
        for backlog in plan.backlogs:
            yield f"a backlog of {backlog:,} messages"
            found = _drained(cluster, Runtime(), backlog)
            add_drain(figures, "backlog", found, messages=backlog)
            cluster.drop_full()
        for partitions in (1, 8, 64):
            yield f"{partitions} partitions"
            found = _drained(cluster, Runtime(), plan.messages, partitions=partitions)
            add_drain(figures, "partitions", found, partitions=partitions)
            cluster.drop_full()
        for per_message in (1, 4, 16, 64, 256):
            for format_name in _THOROUGH:
                yield f"{per_message} images a message, {format_name}"
                count = max(plan.messages // per_message, 1_000)
                found = _drained(cluster, Runtime(), count, format_name, per_message)
                labels = {"images": per_message, "format": format_name}
                figures.add("images a message", "images/s", found.rate * per_message, **labels)
                cluster.drop_full()


def variants(plan: Plan, figures: Figures) -> Iterator[str]:
    """Drains topics with both shipped networks."""
    with bench_cluster(1, plan.images) as cluster:
        for format_name in _THOROUGH:
            for workers in (1, 2):
                for variant in VARIANTS:
                    yield f"{variant}, {format_name}, {workers} workers"
                    system = Runtime(workers, settings={"MODEL_VARIANT": variant})
                    count = plan.messages // _SLOW_VARIANT.get(variant, 1)
                    found = _drained(cluster, system, count, format_name, members=workers)
                    labels = {"variant": variant, "format": format_name, "workers": workers}
                    add_drain(figures, "variant", found, **labels)
            cluster.drop_full()


def _drained(
    cluster: BenchCluster,
    system: System,
    count: int,
    format_name: str = "ndarray",
    per_message: int = 1,
    *,
    partitions: int = PARTITIONS,
    members: int = 1,
    share: float | None = None,
) -> Drain:
    """Drains a topic with this number of messages, and creates the topic if necessary."""
    return drain(
        cluster,
        system,
        cluster.full_topic(format_name, count, per_message, partitions),
        count,
        format_name=format_name,
        members=members,
        partitions=partitions,
        share=share,
    )


SECTIONS: dict[str, Section] = {
    "pipeline": without_kafka,
    "drain": end_to_end,
    "peers": side_by_side,
    "latency": latency,
    "scaling": scaling,
    "growth": growth,
    "variants": variants,
}
