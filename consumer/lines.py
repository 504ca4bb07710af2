"""Writes answers as lines: JSON, CSV, or plain text."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from typing import IO

from consumer.answers import Answer

Write = Callable[[Answer, float | None], None]
"""A function that writes an answer and its latency in ms; the latency is None if unknown."""

COLUMNS = (
    "input_topic",
    "input_partition",
    "input_offset",
    "row",
    "key",
    "label",
    "hiragana",
    "confidence",
    "abstain",
    "outlier",
    "truth",
    "worker",
    "latency_ms",
    "dead_reason",
    "dead_message",
)


def json_lines(out: IO[str]) -> Write:
    """Returns a function that writes one JSON object for each answer."""

    def write(answer: Answer, latency_ms: float | None) -> None:
        topic, partition, offset = answer.input_position or (None, None, None)
        document = {
            "input": {"topic": topic, "partition": partition, "offset": offset},
            "key": answer.key,
            "labels": [
                {
                    "label": label.name,
                    "hiragana": label.hiragana,
                    "confidence": label.confidence,
                    "abstain": label.abstain,
                    "outlier": label.outlier,
                }
                for label in answer.labels
            ],
            "truth": list(answer.truth),
            "worker": answer.worker,
            "latency_ms": latency_ms,
            "dead": {"reason": answer.reason, "message": answer.message} if answer.dead else None,
        }
        out.write(json.dumps(document, ensure_ascii=False) + "\n")

    return write


def csv_lines(out: IO[str]) -> Write:
    """Writes the column names, and returns a function that writes an answer.

    The function writes a line for each image of a reply, and one line for a dead letter. It writes
    nothing for a reply that cannot be read.
    """
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)

    def write(answer: Answer, latency_ms: float | None) -> None:
        position = answer.input_position or ("", "", "")
        latency = "" if latency_ms is None else f"{latency_ms:.1f}"
        if answer.dead:
            nothing = [""] * 6
            why = [answer.reason, answer.message]
            writer.writerow([*position, "", answer.key, *nothing, answer.worker, latency, *why])
        for row, label in enumerate(answer.labels):
            truth = answer.truth[row] if row < len(answer.truth) else ""
            named = [label.name, label.hiragana, f"{label.confidence:.6f}"]
            judged = [*named, label.abstain, label.outlier, truth]
            writer.writerow([*position, row, answer.key, *judged, answer.worker, latency, "", ""])

    return write


def text_lines(out: IO[str]) -> Write:
    """Returns a function that writes one line of plain text for each answer."""

    def write(answer: Answer, latency_ms: float | None) -> None:
        out.write(caption(answer, latency_ms) + "\n")

    return write


def caption(answer: Answer, latency_ms: float | None) -> str:
    """Returns an answer as one line of plain text."""
    if answer.reason is not None:
        content = f"dead: {answer.reason}: {answer.message}"
    elif not answer.labels:
        content = answer.message
    else:
        content = " ".join(f"{n.hiragana}{n.name} {n.confidence:.3f}" for n in answer.labels)
    latency = "" if latency_ms is None else f"  {latency_ms:.0f} ms"
    return f"{content}  {answer.worker}{latency}"
