"""Formats results for the list and for downloads, and filters as queries of addresses."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from consumer.dashboard.results import Result, ResultLog
from consumer.dashboard.selection import Filter
from consumer.labels import HIRAGANA
from seldon_kafka.messages import InputPosition

_TEXT = 300
COLUMNS = (
    "number", "came_s", "input_topic", "input_partition", "input_offset", "row", "key", "puid",
    "label", "hiragana", "confidence", "abstain", "outlier", "truth", "corrected", "worker",
    "latency_ms", "dead_reason", "dead_message",
)  # fmt: skip


def picture_address(position: InputPosition, row: int) -> str:
    """Returns the address of the picture of an image.

    Args:
        position: position of an input message or a dead letter.
        row: index of the image in this message.
    """
    topic, partition, offset = position
    return f"/picture/{quote(topic, safe='')}/{partition}/{offset}/{row}.png"


def row_of(result: Result, index: int, log: ResultLog) -> dict[str, Any]:
    """Returns a result as a row of the list.

    Args:
        result: the result.
        index: index of the row in the list.
        log: the log of results, which has the true labels.
    """
    answer, label = result.answer, result.label
    # The dead letter itself has the picture. The input may have been deleted.
    position = result.at if answer.dead else answer.input_position
    row: dict[str, Any] = {
        "number": result.number,
        "index": index,
        "key": (answer.key or "")[:_TEXT],
        "worker": answer.worker[:_TEXT],
        "place": ""
        if answer.input_position is None
        else f"{answer.input_position[1]}:{answer.input_position[2]}",
        "latency": in_ms(result.latency_ms),
        "picture": None if position is None else picture_address(position, result.row),
    }
    if label is None:
        why = answer.message or "the reply has no label"
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
    """Returns a latency as text in milliseconds, or in seconds from 10 s on; empty for None."""
    if latency_ms is None:
        return ""
    return f"{latency_ms:.0f} ms" if latency_ms < 10_000 else f"{latency_ms / 1000:.0f} s"


def filter_of(query: Mapping[str, str]) -> Filter:
    """Returns the filter for the query of an address; the inverse of `query_of`.

    Raises:
        ValueError: `below` is not a number from 0 to 1.
    """
    below = query.get("below", "")
    if below and not 0 <= float(below) <= 1:
        raise ValueError(below)
    return Filter(
        label=query.get("label", ""),
        worker=query.get("worker", ""),
        below=float(below) if below else None,
        **{name: query.get(name) == "1" for name in ("abstained", "outlier", "wrong", "dead")},
    )


def query_of(chosen: Filter) -> dict[str, str]:
    """Returns the query of an address for a filter; conditions that are not set are left out."""
    query = {"label": chosen.label, "worker": chosen.worker}
    query["below"] = "" if chosen.below is None else f"{chosen.below:g}"
    for name in ("abstained", "outlier", "wrong", "dead"):
        query[name] = "1" if getattr(chosen, name) else ""
    return {name: value for name, value in query.items() if value}


def as_csv(results: Iterable[Result], log: ResultLog) -> Iterator[str]:
    """Yields the text of a CSV file in pieces; the first line has the column names."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for result in results:
        writer.writerow([_without_formula(value) for value in _facts(result, log).values()])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def as_json(results: Iterable[Result], log: ResultLog) -> Iterator[str]:
    """Yields the text of a JSON file in pieces: an array with one object on each line."""
    separator = "[\n"
    for result in results:
        label = result.label
        facts = {**_facts(result, log), "probabilities": dict(label.probabilities) if label else {}}
        yield separator + json.dumps(facts, ensure_ascii=False)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def _facts(result: Result, log: ResultLog) -> dict[str, Any]:
    answer, label = result.answer, result.label
    position = answer.input_position or ("", "", "")
    judged: tuple[Any, ...] = ("",) * 5
    if label is not None:
        judged = (label.name, label.hiragana, label.confidence, label.abstain, label.outlier)
    values = (
        result.number, round(result.received_s, 3), *position, result.row, answer.key or "",
        answer.puid, *judged, log.truth(result), log.is_corrected(result), answer.worker,
        "" if result.latency_ms is None else round(result.latency_ms, 1),
        answer.reason or "", answer.message,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _without_formula(value: Any) -> Any:
    """Returns a value; a text that a spreadsheet would take for a formula gets a leading quote."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
