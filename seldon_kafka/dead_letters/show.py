"""Shows one dead letter to an operator."""

from __future__ import annotations

import os
import sys
from typing import List, Optional, Tuple

from seldon_kafka.codec import decode
from seldon_kafka.dead_letters.diagnosis import diagnose
from seldon_kafka.dead_letters.letters import Letter
from seldon_kafka.dead_letters.terminal import plain, when
from seldon_kafka.errors import REASONS, Rejected
from seldon_kafka.messages import Json
from seldon_kafka.pipeline.load_class import ClassNotUsable, load_class

_MOST_CHARACTERS = 400
_INDENT = " " * 10


def shown(letter: Letter, replays: int, class_name: Optional[str]) -> str:
    """Returns the text about a dead letter: its reason, the error in the value, and the payload.

    Args:
        letter: the dead letter.
        replays: number of its replays.
        class_name: class whose `describe` shows the payload; None for Python's `repr`.
    """
    original = letter.original()
    topic, partition, offset = letter.source
    cut = f" of {letter.cut_from}; the rest was cut to fit" if letter.cut_from is not None else ""
    lines: List[Tuple[str, str]] = [
        ("reason", f"{letter.reason}: {letter.message}"),
        *letter.error().items(),
        ("advice", REASONS.get(letter.reason, "This reason is one of the class itself.")),
        ("trouble", diagnose(original, letter.reason)),
        ("from", f"{topic} partition {partition} offset {offset}"),
        ("sent", when(letter.sent_ms) if letter.sent_ms >= 0 else "without a timestamp"),
        ("rejected", f"{when(letter.rejected_ms)} by {letter.worker}"),
        ("attempts", f"replayed {letter.attempts} times before" if letter.attempts else ""),
        ("replayed", f"{replays} times since" if replays else "not since"),
        ("key", _short(original.key)),
        *(("header", f"{name}: {_short(value)}") for name, value in original.headers),
        ("value", f"{len(original.value or b'')} bytes{cut}"),
    ]
    text = [f"{name:<10}{_indented(value)}" for name, value in lines if value]
    return "\n".join([*text, _payload(letter, class_name)])


def _indented(value: str) -> str:
    return f"\n{_INDENT}".join(plain(line) for line in value.split("\n"))


def _payload(letter: Letter, class_name: Optional[str]) -> str:
    original = letter.original()
    try:
        payload: Json = decode(original, sys.maxsize).payload.data
    except Rejected:
        return _short(original.value or b"")
    if class_name is None:
        return _short(payload)
    try:
        return "\n".join(map(plain, _described(class_name, payload).split("\n")))
    except ClassNotUsable as error:
        return f"{_short(payload)}\n(not described: {error})"
    except Exception as error:
        # An error of the class, perhaps the one that caused the dead letter.
        return f"{_short(payload)}\n(not described: {type(error).__name__}: {plain(str(error))})"


def _described(class_name: str, payload: Json) -> str:
    return load_class(class_name, os.environ).describe(payload)


def _short(payload: Json) -> str:
    text = repr(payload)
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"
