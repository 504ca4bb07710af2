"""How a result looks in a list, in a file, and in an address."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from consumer.answers import InputPosition
from consumer.dashboard.results import Result, ResultLog
from consumer.dashboard.selection import Filter
from consumer.labels import HIRAGANA

_TEXT = 300
COLUMNS = (
    "number", "came_s", "input_topic", "input_partition", "input_offset", "row", "key", "puid",
    "label", "hiragana", "confidence", "abstain", "outlier", "truth", "corrected", "worker",
    "latency_ms", "dead_reason", "dead_message",
)  # fmt: skip


def picture_address(place: InputPosition, row: int) -> str:
    """Where a browser finds the picture of an image."""
    topic, partition, offset = place
    return f"/picture/{quote(topic, safe='')}/{partition}/{offset}/{row}.png"


def row_of(result: Result, index: int, log: ResultLog) -> dict[str, Any]:
    """A result for the list.

    Args:
        result: It.
        index: Its place in the list.
        log: Knows what is true.
    """
    answer, label = result.answer, result.label
    # A dead letter's own record is read, since retention may have taken the input.
    place = result.at if answer.dead else answer.input_position
    row: dict[str, Any] = {
        "number": result.number,
        "index": index,
        "key": (answer.key or "")[:_TEXT],
        "worker": answer.worker[:_TEXT],
        "place": ""
        if answer.input_position is None
        else f"{answer.input_position[1]}:{answer.input_position[2]}",
        "latency": in_ms(result.latency_ms),
        "picture": None if place is None else picture_address(place, result.row),
    }
    if label is None:
        why = answer.message or "the reply holds no label"
        return {**row, "dead": answer.reason or "unreadable", "message": why[:_TEXT]}
    truth = log.truth(result)
    shares = [share for _, share in label.probabilities]
    return {
        **row,
        "label": label.name[:_TEXT],
        "hiragana": label.hiragana,
        "bars": [round(min(1.0, max(0.0, share)), 3) for share in shares],
        "best": next(
            (at for at, each in enumerate(label.probabilities) if each[0] == label.name), -1
        ),
        "confidence": f"{100 * label.confidence:.1f} %",
        "abstain": label.abstain,
        "outlier": label.outlier,
        "right": None if not truth else truth == label.name,
        "truth": HIRAGANA.get(truth, truth)[:_TEXT],
    }


def in_ms(latency_ms: float | None) -> str:
    """A latency in few characters."""
    if latency_ms is None:
        return ""
    return f"{latency_ms:.0f} ms" if latency_ms < 10_000 else f"{latency_ms / 1000:.0f} s"


def filter_of(query: Mapping[str, str]) -> Filter:
    """The filter that an address asks for.

    Raises:
        ValueError: `below` is no number.
    """
    below = query.get("below", "")
    return Filter(
        label=query.get("label", ""),
        worker=query.get("worker", ""),
        below=float(below) if below else None,
        **{name: query.get(name) == "1" for name in ("abstained", "outlier", "wrong", "dead")},
    )


def query_of(chosen: Filter) -> dict[str, str]:
    """What stands in an address for a filter."""
    query = {"label": chosen.label, "worker": chosen.worker}
    query["below"] = "" if chosen.below is None else f"{chosen.below:g}"
    for name in ("abstained", "outlier", "wrong", "dead"):
        query[name] = "1" if getattr(chosen, name) else ""
    return {name: value for name, value in query.items() if value}


def as_csv(results: Iterable[Result], log: ResultLog) -> Iterator[str]:
    """Lines of a CSV file, with a head."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for result in results:
        writer.writerow([_harmless(value) for value in _facts(result, log).values()])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def as_json(results: Iterable[Result], log: ResultLog) -> Iterator[str]:
    """A JSON file: a list with an object a line."""
    separator = "[\n"
    for result in results:
        label = result.label
        facts = {**_facts(result, log), "probabilities": dict(label.probabilities) if label else {}}
        yield separator + json.dumps(facts, ensure_ascii=False)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def _facts(result: Result, log: ResultLog) -> dict[str, Any]:
    answer, label = result.answer, result.label
    place = answer.input_position or ("", "", "")
    judged: tuple[Any, ...] = ("",) * 5
    if label is not None:
        judged = (label.name, label.hiragana, label.confidence, label.abstain, label.outlier)
    values = (
        result.number, round(result.came_s, 3), *place, result.row, answer.key or "", answer.puid,
        *judged, log.truth(result), log.is_corrected(result), answer.worker,
        "" if result.latency_ms is None else round(result.latency_ms, 1),
        answer.reason or "", answer.message,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _harmless(value: Any) -> Any:
    """Text that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
