"""What the bench measures: one function for each part, one repetition a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench import pipeline, shares
from bench.bed import ROOT, Bed, bed
from bench.drain import drain, note
from bench.figures import Figures
from bench.latency import PERCENTILES, idle_share, latencies, percentiles
from bench.payloads import FORMAT_NAMES
from bench.systems import PEERS, Peer, Runtime

PROCESSING = ("exactly_once", "at_least_once")
_REST_FORMATS = ("ndarray", "tensor", "bindata")
_TRAIN_PYTHON = ROOT / ".venv-train" / "bin" / "python"
_KERAS = "bench.keras_example.KerasExample"
# Peers that get so many times fewer messages, so that none is waited for long.
_SLOW = {"faust": 4, "quix": 2}
_RATES = (10, 100, 1000)
_IDLE_S = 10.0
_SHARE = 0.24
"""Of a core for each of four workers: together they leave some of it to the system."""


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        images: uint8 (n, 28, 28).
        messages: in a topic that is drained.
        slow_messages: the same for a system of some hundred messages a second.
        seconds: of each case that is timed rather than counted.
        backlogs: numbers of messages, for growth.
    """

    images: NDArray[np.uint8]
    messages: int = 200_000
    slow_messages: int = 3_000
    seconds: float = 20.0
    backlogs: tuple[int, ...] = (10_000, 100_000, 1_000_000)


Section = Callable[[Plan, Figures], Iterator[str]]


def without_kafka(plan: Plan, figures: Figures) -> Iterator[str]:
    """The pipeline alone, beside the model alone."""
    return pipeline.measure(figures, plan.images, min(1.0, plan.seconds))


def end_to_end(plan: Plan, figures: Figures) -> Iterator[str]:
    """Draining full topics: formats, processing, workers, brokers."""
    for brokers in (1, 3):
        with bed(brokers, plan.images) as cluster:
            for format_name in FORMAT_NAMES:
                if brokers == 3 and format_name not in ("ndarray", "raw"):
                    continue
                source = cluster.full_topic(format_name, plan.messages)
                for workers in (1, 2, 4):
                    if workers > 1 and format_name not in ("ndarray", "raw"):
                        continue
                    for processing in PROCESSING:
                        labels = {
                            "format": format_name,
                            "workers": workers,
                            "brokers": brokers,
                            "processing": processing,
                        }
                        yield "drain, " + ", ".join(f"{k} {v}" for k, v in labels.items())
                        found = drain(
                            cluster,
                            Runtime(workers, processing),
                            source,
                            plan.messages,
                            format_name=format_name,
                            members=workers,
                        )
                        note(figures, "drain", found, **labels)
                cluster.drop(source)


def side_by_side(plan: Plan, figures: Figures) -> Iterator[str]:
    """This runtime and its peers, on the same topics of one broker."""
    with bed(1, plan.images) as cluster:
        for format_name in FORMAT_NAMES:
            source = cluster.full_topic(format_name, plan.messages)
            yield f"ours, {format_name}"
            found = drain(cluster, Runtime(), source, plan.messages, format_name=format_name)
            note(figures, "system", found, system="ours", format=format_name)
            for name in PEERS:
                if name == "seldon_rest":
                    continue
                yield f"{name}, {format_name}"
                count = plan.messages // _SLOW.get(name, 1)
                own = cluster.full_topic(format_name, count)
                found = drain(cluster, Peer(name), own, count, format_name=format_name)
                note(figures, "system", found, system=name, format=format_name)
            cluster.drop_full()
            if format_name in _REST_FORMATS:
                yield f"seldon_rest, {format_name}"
                short = cluster.full_topic(format_name, plan.slow_messages)
                rest = Peer("seldon_rest")
                found = drain(cluster, rest, short, plan.slow_messages, format_name=format_name)
                note(figures, "system", found, system="seldon_rest", format=format_name)
                cluster.drop(short)
        if _TRAIN_PYTHON.exists():
            yield from _with_keras_example(plan, figures, cluster)


def _with_keras_example(plan: Plan, figures: Figures, cluster: Bed) -> Iterator[str]:
    """The class and model that Seldon's executor was measured with."""
    count = plan.slow_messages * 10
    source = cluster.full_topic("ndarray", count)
    yield "ours with the Keras example, ndarray"
    ours = Runtime(class_name=_KERAS, python=_TRAIN_PYTHON)
    found = drain(cluster, ours, source, count, format_name="ndarray")
    note(figures, "system", found, system="ours, Keras example", format="ndarray")
    cluster.drop(source)
    yield "seldon_rest with the Keras example, ndarray"
    source = cluster.full_topic("ndarray", plan.slow_messages)
    rest = Peer("seldon_rest", _KERAS, _TRAIN_PYTHON)
    found = drain(cluster, rest, source, plan.slow_messages, format_name="ndarray")
    note(figures, "system", found, system="seldon_rest, Keras example", format="ndarray")
    cluster.drop(source)


def latency(plan: Plan, figures: Figures) -> Iterator[str]:
    """Open-loop latency at several loads, the last one 80 % of the drain rate."""
    with bed(1, plan.images) as cluster:
        source = cluster.full_topic("ndarray", plan.messages)
        yield "an idle worker"
        figures.add("idle", "%", idle_share(cluster, Runtime(), _IDLE_S) * 100)
        for processing in PROCESSING:
            yield f"drain rate for the latency, {processing}"
            system = Runtime(processing=processing)
            found = drain(cluster, system, source, plan.messages, format_name="ndarray")
            if processing == "exactly_once":
                figures.add("first answer", "s", found.first_answer_s)
            offers = {str(each): float(each) for each in _RATES}
            for load, offered in {**offers, "80 %": found.rate * 0.8}.items():
                yield f"latency, {processing}, {load} messages a second"
                taken = latencies(cluster, system, offered, plan.seconds, format_name="ndarray")
                labels = {"processing": processing, "load": load}
                figures.add("offered", "messages/s", offered, **labels)
                for percentile, value in zip(PERCENTILES, percentiles(taken), strict=True):
                    figures.add("latency", "ms", value, percentile=percentile, **labels)


def scaling(plan: Plan, figures: Figures) -> Iterator[str]:
    """Workers with a fixed share of a core each, the broker on another core."""
    why = shares.why_impossible()
    if why is not None:
        yield f"scaling can't be measured here: {why}"
        return
    with bed(1, plan.images) as cluster:
        for workers in (1, 2, 4):
            yield f"scaling, {workers} workers of {_SHARE} cores"
            count = plan.messages // 8 * workers
            source = cluster.full_topic("ndarray", count)
            found = drain(
                cluster,
                Runtime(workers),
                source,
                count,
                format_name="ndarray",
                members=workers,
                share=_SHARE,
            )
            note(figures, "scaling", found, workers=workers)
            cluster.drop(source)


def growth(plan: Plan, figures: Figures) -> Iterator[str]:
    """Long backlogs, many partitions, many images in a message."""
    with bed(1, plan.images) as cluster:
        for backlog in plan.backlogs:
            yield f"a backlog of {backlog:,} messages"
            source = cluster.full_topic("ndarray", backlog)
            found = drain(cluster, Runtime(), source, backlog, format_name="ndarray")
            note(figures, "backlog", found, messages=backlog)
            cluster.drop(source)
        for partitions in (1, 8, 64):
            yield f"{partitions} partitions"
            source = cluster.full_topic("ndarray", plan.messages, partitions=partitions)
            found = drain(
                cluster,
                Runtime(),
                source,
                plan.messages,
                format_name="ndarray",
                partitions=partitions,
            )
            note(figures, "partitions", found, partitions=partitions)
            cluster.drop(source)
        for per_message in (1, 4, 16, 64, 256):
            for format_name in ("ndarray", "raw"):
                yield f"{per_message} images a message, {format_name}"
                count = max(plan.messages // per_message, 1_000)
                source = cluster.full_topic(format_name, count, per_message)
                found = drain(cluster, Runtime(), source, count, format_name=format_name)
                labels = {"images": per_message, "format": format_name}
                figures.add("images a message", "images/s", found.rate * per_message, **labels)
                cluster.drop(source)


SECTIONS: dict[str, Section] = {
    "pipeline": without_kafka,
    "drain": end_to_end,
    "peers": side_by_side,
    "latency": latency,
    "scaling": scaling,
    "growth": growth,
}
