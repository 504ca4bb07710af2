"""The targets of the benchmark, and whether the figures meet them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.figures import Figure, Figures, Spread, ratio
from bench.latency import ALONE_LOADS, SHARED_LOADS

OTHERS = ("quix", "faust", "faststream", "plain")
_REST = "seldon_rest"


@dataclass(frozen=True)
class Target:
    """A target of the benchmark, and the measured values.

    Attributes:
        what: description of the measured quantity.
        bound: description of the bound that the target sets.
        found: spread of the measured values; None without a measurement.
        is_met: whether the median meets the bound; false without a measurement.
        unit: unit of the values.
    """

    what: str
    bound: str
    found: Spread | None
    is_met: bool
    unit: str


def targets(figures: Figures) -> list[Target]:
    """Returns all targets, in the order of the report."""
    return [
        *_against_rest(figures),
        *_without_kafka(figures),
        *_against_others(figures),
        _at_least(
            "exactly once against at least once, drain, ndarray",
            0.9,
            ratio(
                _drain(figures, processing="exactly_once"),
                _drain(figures, processing="at_least_once"),
            ),
        ),
        *_latency(figures),
        _at_least(
            "throughput, 1,000,000 backlog against 10,000",
            0.9,
            ratio(
                figures.one("backlog", messages=1_000_000), figures.one("backlog", messages=10_000)
            ),
        ),
        _at_least(
            "four workers against four times one, each with its share of a core",
            0.85,
            _scaled(
                ratio(figures.one("scaling", workers=4), figures.one("scaling", workers=1)), 0.25
            ),
        ),
        _below("worker start to first answer", 4, _spread(figures.one("first answer")), "s"),
        _below("idle worker, of a core", 1, _spread(figures.one("idle")), "%"),
    ]


def _against_rest(figures: Figures) -> Iterable[Target]:
    def against(what: str, bound: float, ours: str, rest: str, format_name: str) -> Target:
        found = ratio(
            figures.one("system", system=ours, format=format_name),
            figures.one("system", system=rest, format="ndarray"),
        )
        return _at_least(f"drain, {what}", bound, found)

    for format_name, bound in (("ndarray", 60), ("raw", 120), ("bindata", 120)):
        yield against(f"{format_name}, against a REST call each", bound, "ours", _REST, format_name)
    keras = f"{_REST}, Keras example"
    yield against(
        "ndarray, Keras example in a plain class, against a REST call each to the same class",
        30,
        "ours, Keras example",
        keras,
        "ndarray",
    )
    for format_name, bound in (("ndarray", 60), ("raw", 120), ("bindata", 120)):
        yield against(
            f"{format_name}, against a REST call each to the Keras example, which Seldon's "
            "executor was measured with",
            bound,
            "ours",
            keras,
            format_name,
        )


def _without_kafka(figures: Figures) -> Iterable[Target]:
    model = figures.one("model", batch=256)
    for format_name, bound in (("raw", 0.7), ("ndarray", 0.35)):
        pipeline = figures.one("pipeline", format=format_name, batch=256)
        yield _at_least(
            f"pipeline without Kafka against the bare model at batch 256, {format_name}",
            bound,
            ratio(pipeline, model),
        )


def _against_others(figures: Figures) -> Iterable[Target]:
    for format_name in ("ndarray", "tensor", "bindata", "png", "raw"):
        ours = figures.one("system", system="ours", format=format_name)
        others = [figures.one("system", system=name, format=format_name) for name in OTHERS]
        best = max(
            (other for other in others if other is not None),
            key=lambda other: other.spread.median,
            default=None,
        )
        name = "" if best is None else f" ({best.labels['system']})"
        bound = 2.0 if format_name == "ndarray" else 1.0
        yield _at_least(
            f"against the best of the others{name}, {format_name}", bound, ratio(ours, best)
        )


def _latency(figures: Figures) -> Iterable[Target]:
    for processing, bounds in (("exactly_once", (12, 40)), ("at_least_once", (4, 15))):
        for percentile, bound in zip((50.0, 99.0), bounds, strict=True):
            found = figures.one("latency", processing=processing, load="100", percentile=percentile)
            words = processing.replace("_", " ")
            yield _below(
                f"latency at 100 messages a second, {words}, p{percentile:.0f}",
                bound,
                _spread(found),
                "ms",
            )
    for load, words in (
        (SHARED_LOADS[0.8], "of its rate beside sender and reader"),
        (ALONE_LOADS[0.8], "of its rate alone"),
    ):
        found = figures.one("latency", processing="exactly_once", load=load, percentile=99.0)
        yield _below(f"p99 at 80 % {words}, exactly once", 250, _spread(found), "ms")


def _drain(figures: Figures, **labels: object) -> Figure | None:
    return figures.one("drain", format="ndarray", workers=1, brokers=1, **labels)


def _spread(figure: Figure | None) -> Spread | None:
    return None if figure is None else figure.spread


def _scaled(spread: Spread | None, by: float) -> Spread | None:
    if spread is None:
        return None
    return Spread(spread.minimum * by, spread.median * by, spread.maximum * by)


def _at_least(what: str, bound: float, found: Spread | None) -> Target:
    return _target(what, f"at least {bound:g} x", found, lambda median: median >= bound, "x")


def _below(what: str, bound: float, found: Spread | None, unit: str) -> Target:
    return _target(what, f"under {bound:g} {unit}", found, lambda median: median < bound, unit)


def _target(
    what: str, bound: str, found: Spread | None, reaches: Callable[[float], bool], unit: str
) -> Target:
    return Target(what, bound, found, found is not None and reaches(found.median), unit)
