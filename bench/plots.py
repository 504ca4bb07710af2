"""Draws the report's plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

from bench.figures import Figure, Figures
from bench.payloads import FORMAT_NAMES
from bench.targets import OTHERS

_SIZE = (8.0, 4.0)
_STAGES = ("decode", "predict", "encode")
# With these settings and without a date, equal measurements give files of equal bytes.
_FIXED: Any = {"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9.0}


def draw_all(figures: Figures, folder: Path) -> Sequence[str]:
    """Draws each plot for which measurements exist, as an SVG file.

    Returns:
        The names of the files that were drawn, without `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    plots: dict[str, Callable[[Figures, Any], bool]] = {
        "throughput_by_format_and_system": _throughput,
        "latency_by_offered_load": _latency,
        "scaling_by_workers": _scaling,
        "where_a_messages_time_goes": _stages,
    }
    with mpl.rc_context(_FIXED):
        for name, draw in plots.items():
            drawing = Drawing(figsize=_SIZE)
            axes: Any = drawing.subplots()
            if draw(figures, axes):
                axes.spines[["top", "right"]].set_visible(False)
                drawing.tight_layout()
                drawing.savefig(folder / f"{name}.svg", metadata={"Date": None})
                drawn.append(f"{name}.svg")
    return drawn


def _errors(figure: Figure) -> tuple[float, float]:
    spread = figure.spread
    return spread.median - spread.minimum, spread.maximum - spread.median


def _throughput(figures: Figures, axes: Any) -> bool:
    systems = [
        each for each in ("ours", *OTHERS, "seldon_rest") if figures.all("system", system=each)
    ]
    width = 0.8 / max(1, len(systems))
    for number, system in enumerate(systems):
        for index, format_name in enumerate(FORMAT_NAMES):
            found = figures.one("system", system=system, format=format_name)
            if found is None:
                continue
            axes.bar(
                index + number * width,
                found.spread.median,
                width,
                yerr=[[error] for error in _errors(found)],
                color=f"C{number}",
                label=system if index == 0 else None,
            )
    axes.set_xticks([index + 0.4 - width / 2 for index in range(len(FORMAT_NAMES))], FORMAT_NAMES)
    axes.set_ylabel("messages a second")
    axes.set_title("Throughput from topic to topic, one image a message")
    if systems:
        axes.legend(frameon=False)
    return bool(systems)


def _latency(figures: Figures, axes: Any) -> bool:
    offered = figures.all("offered")
    for number, processing in enumerate(("exactly_once", "at_least_once")):
        loads = [each for each in offered if each.labels["processing"] == processing]
        rates = [each.spread.median for each in loads]
        for percentile, style in (("50.0", "-"), ("99.0", "--"), ("99.9", ":")):
            found = [
                figures.one("latency", percentile=percentile, **dict(each.labels)) for each in loads
            ]
            values = [each.spread.median for each in found if each is not None]
            if len(values) == len(rates):
                name = f"{processing.replace('_', ' ')}, p{float(percentile):g}"
                axes.plot(rates, values, style, color=f"C{number}", marker="o", label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("offered messages a second")
    axes.set_ylabel("milliseconds")
    axes.set_title("Latency, from the due time of a message to the arrival of its reply")
    if offered:
        axes.legend(frameon=False)
    return bool(offered)


def _scaling(figures: Figures, axes: Any) -> bool:
    found = figures.all("scaling")
    if not found:
        return False
    workers = [int(each.labels["workers"]) for each in found]
    rates = [each.spread.median for each in found]
    errors = [_errors(each) for each in found]
    axes.errorbar(workers, rates, list(zip(*errors, strict=True)), marker="o", label="measured")
    axes.plot(workers, [rates[0] / workers[0] * each for each in workers], ":", label="linear")
    axes.set_xticks(workers)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("workers, each with the same share of a core")
    axes.set_ylabel("messages a second")
    axes.set_title("Scaling by workers")
    axes.legend(frameon=False)
    return True


def _stages(figures: Figures, axes: Any) -> bool:
    names = [each for each in FORMAT_NAMES if figures.all("stage", format=each, batch=256)]
    left = [0.0] * len(names)
    for stage in _STAGES:
        found = [figures.one("stage", format=each, batch=256, stage=stage) for each in names]
        values = [0.0 if each is None else each.spread.median for each in found]
        axes.barh(names, values, left=left, label=stage)
        left = [start + value for start, value in zip(left, values, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("microseconds a message, batches of 256")
    axes.set_title("Time of a message by stage, without Kafka")
    if names:
        axes.legend(frameon=False)
    return bool(names)
