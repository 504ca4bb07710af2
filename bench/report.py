"""Writes docs/benchmark.md and its plots.

The figures are between two marks. The text before and after the marks stays unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.figures import Figure, Figures
from bench.payloads import FORMAT_NAMES
from bench.plots import draw_all
from bench.targets import OTHERS, Target, targets
from model.marked import with_part

FILE = "benchmark.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
_HEAD = "# How fast it is\n\n"
_SYSTEMS = ("ours", *OTHERS, "seldon_rest", "ours, Keras example", "seldon_rest, Keras example")
_DASH = "–"
_NAMED = ("cores", "processor", "memory", "system", "python", "kafka", "librdkafka")


def write_report(figures: Figures, folder: Path) -> Path:
    """Writes the report and its plots.

    Args:
        figures: figures of the benchmark.
        folder: folder of the report.

    Returns:
        The path of the report.
    """
    path = folder / FILE
    text = path.read_text(encoding="utf-8") if path.exists() else f"{_HEAD}{BEGIN}\n{END}\n"
    part = "\n".join(_sections(figures, draw_all(figures, folder / "benchmark")))
    path.write_text(with_part(text, BEGIN, END, part), encoding="utf-8")
    return path


def _sections(figures: Figures, plots: Sequence[str]) -> Iterator[str]:
    yield from _facts(figures.facts)
    yield from _targets(targets(figures))
    yield from (f"![{Path(plot).stem.replace('_', ' ')}](benchmark/{plot})\n" for plot in plots)
    yield from _side_by_side(figures)
    yield from _pipeline(figures)
    yield from _end_to_end(figures)
    yield from _latency(figures)
    yield from _growth(figures)
    yield from _variants(figures)


def _facts(facts: dict[str, str]) -> Iterator[str]:
    known = {name: facts.get(name, "?") for name in _NAMED}
    yield (
        f"Measured with {known['cores']} cores of {known['processor']}, shared by brokers, "
        f"workers and load, {known['memory']}, {known['system']}, Python {known['python']}, "
        f"Apache Kafka {known['kafka']}, librdkafka {known['librdkafka']}. Each value is minimum / "
        "**median** / maximum of the repetitions. Ratios are computed within each repetition, "
        "because the speed of machines drifts. The commands, with the day and the revision of "
        "each:\n"
    )
    yield "```sh"
    for name, command in facts.items():
        kind, _, part = name.partition(" ")
        if kind == "command":
            date, revision = facts.get(f"date {part}", "?"), facts.get(f"revision {part}", "?")
            yield f"{command}  # {date}, {revision}"
    yield "```\n"


def _targets(found: Iterable[Target]) -> Iterator[str]:
    yield "## Targets\n"
    yield from _header("target", "aim", "found", "")
    for target in found:
        value = _DASH
        if target.found is not None:
            low, mid, high = target.found.minimum, target.found.median, target.found.maximum
            value = f"{_number(low)} / **{_number(mid)}** / {_number(high)} {target.unit}"
        verdict = "not measured" if target.found is None else "met" if target.is_met else "missed"
        yield f"| {target.what} | {target.bound} | {value} | {verdict} |"
    yield ""


def _side_by_side(figures: Figures) -> Iterator[str]:
    yield "## Side by side\n"
    yield (
        "Messages a second from a full topic of one broker, with one process for each system and "
        "one image in a message. `seldon_rest` reproduces Seldon's executor: four threads, and one "
        "REST call for each message to `seldon-core-microservice`. The executor itself answered "
        "170 messages a second on such a machine (250 with two REST processes; 1,400 images a "
        "second at 32 images in a message), with the Keras example.\n"
    )
    yield from _header("system", *FORMAT_NAMES)
    for system in _SYSTEMS:
        cells = [_cell(figures.one("system", system=system, format=each)) for each in FORMAT_NAMES]
        yield f"| {system} | " + " | ".join(cells) + " |"
    yield ""
    alone = _cell(figures.one("Keras example alone"))
    yield f"The Keras example alone, 256 images a call on all cores: {alone} images a second.\n"


def _pipeline(figures: Figures) -> Iterator[str]:
    yield "## The pipeline without Kafka\n"
    yield "From records to reply bytes; stages in microseconds for each message (median).\n"
    yield from _header("format", "batch", "messages a second", "decode", "predict", "encode")
    for figure in figures.all("pipeline"):
        labels = dict(figure.labels)
        stages = [
            _cell(figures.one("stage", stage=stage, **labels), short=True)
            for stage in ("decode", "predict", "encode")
        ]
        cells = [labels["format"], labels["batch"], _cell(figure), *stages]
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield from _header("the model alone, batches of", "images a second")
    for figure in figures.all("model"):
        yield f"| {figure.labels['batch']} | {_cell(figure)} |"
    yield ""


def _end_to_end(figures: Figures) -> Iterator[str]:
    yield "## From topic to topic\n"
    yield (
        "Messages that are already in the topic, with 8 partitions, until the last committed "
        "reply; CPU milliseconds for each message, of workers (their start included) and brokers.\n"
    )
    yield from _header(
        "format", "workers", "brokers", "processing", "messages a second", "worker", "broker", "MiB"
    )
    for figure in figures.all("drain"):
        labels = dict(figure.labels)
        cells = [labels[name] for name in ("format", "workers", "brokers", "processing")]
        cells.append(_cell(figure))
        for part in ("worker", "broker"):
            cells.append(_cell(figures.one("drain cpu", part=part, **labels), short=True, digits=3))
        cells.append(_cell(figures.one("drain memory", **labels), short=True))
        yield "| " + " | ".join(cells) + " |"
    yield ""


def _latency(figures: Figures) -> Iterator[str]:
    yield "## Latency\n"
    yield (
        "Milliseconds from the due time of a message until a `read_committed` reader has its "
        "reply. The load is open loop: due times do not depend on the replies. Sender and reader "
        "share the cores with worker and broker. Under these conditions, and with more messages "
        "than it can answer, a worker answers:\n"
    )
    yield from _header("processing", "messages a second")
    for figure in figures.all("carried"):
        yield f"| {figure.labels['processing']} | {_cell(figure)} |"
    yield ""
    percentiles = ("50.0", "90.0", "99.0", "99.9")
    yield from _header(
        "processing", "offered", "messages a second", *(f"p{p}" for p in percentiles)
    )
    for figure in figures.all("offered"):
        labels = dict(figure.labels)
        cells = [
            _cell(figures.one("latency", percentile=percentile, **labels))
            for percentile in percentiles
        ]
        row = [labels["processing"], labels["load"], _cell(figure, short=True), *cells]
        yield "| " + " | ".join(row) + " |"
    yield ""


def _growth(figures: Figures) -> Iterator[str]:
    yield "## Growth\n"
    for what, label, unit in (
        ("backlog", "messages", "messages a second"),
        ("partitions", "partitions", "messages a second"),
        ("scaling", "workers", "messages a second"),
    ):
        yield from _header(f"{what} ({label})", unit, "MiB")
        for figure in figures.all(what):
            memory = _cell(figures.one(f"{what} memory", **dict(figure.labels)), short=True)
            yield f"| {int(figure.labels[label]):,} | {_cell(figure)} | {memory} |"
        yield ""
    yield from _header("images a message", "format", "images a second")
    for figure in figures.all("images a message"):
        yield f"| {figure.labels['images']} | {figure.labels['format']} | {_cell(figure)} |"
    yield ""


def _variants(figures: Figures) -> Iterator[str]:
    yield "## Both networks\n"
    yield "`MODEL_VARIANT`, from topic to topic, exactly once, one image a message.\n"
    yield from _header("format", "workers", "variant", "messages a second", "MiB")
    for figure in figures.all("variant"):
        labels = dict(figure.labels)
        memory = _cell(figures.one("variant memory", **labels), short=True)
        cells = [labels[name] for name in ("format", "workers", "variant")]
        yield "| " + " | ".join([*cells, _cell(figure), memory]) + " |"
    yield ""


def _header(*names: str) -> Iterator[str]:
    yield "| " + " | ".join(names) + " |"
    yield "| " + " | ".join("---" for _ in names) + " |"


def _cell(figure: Figure | None, *, short: bool = False, digits: int = 2) -> str:
    if figure is None:
        return _DASH
    spread = figure.spread
    if digits > 2:
        return f"{spread.median:.{digits}f}"
    if short or len(figure.values) == 1:
        return _number(spread.median)
    low, mid, high = (_number(value) for value in (spread.minimum, spread.median, spread.maximum))
    return f"{low} / **{mid}** / {high}"


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
