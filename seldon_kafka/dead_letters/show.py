"""Describes one dead letter to an operator, with the position of the error in its value."""

from __future__ import annotations

import os
import re
import sys
from typing import Callable, Dict, Iterator, List, Optional, Tuple

import numpy as np
import orjson

from seldon_kafka.codec import decode
from seldon_kafka.codec.json_text import MAX_DEPTH
from seldon_kafka.dead_letters.letters import Letter
from seldon_kafka.dead_letters.terminal import plain, when
from seldon_kafka.errors import REASONS, Rejected
from seldon_kafka.messages import Json, Record
from seldon_kafka.pipeline.load_class import ClassNotUsable, load_class

_AROUND_CHARACTERS = 40
_FIRST_BYTES = 24
_FIRST_KEYS = 10
# Matches whole strings first, so that group 1 matches only outside of strings.
_NOT_FINITE = re.compile(r'"(?:[^"\\]|\\.)*"|(-?Infinity|NaN)')
_MOST_CHARACTERS = 400
_INDENT = " " * 10


def shown(letter: Letter, replays: int, class_name: Optional[str]) -> str:
    """Describes a dead letter: its reason, the error in its value, its metadata and its payload.

    Args:
        letter: the dead letter.
        replays: number of replays of this dead letter.
        class_name: class whose `describe` converts the payload to text; None for Python's `repr`.
    """
    original = letter.original()
    topic, partition, offset = letter.source
    cut = f" of {letter.cut_from}; the rest was cut to fit" if letter.cut_from is not None else ""
    lines: List[Tuple[str, str]] = [
        ("reason", f"{letter.reason}: {letter.message}"),
        *letter.error().items(),
        ("advice", REASONS.get(letter.reason, "The class itself defines this reason.")),
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
        # The class raised an error, perhaps the same error that caused the dead letter.
        return f"{_short(payload)}\n(not described: {type(error).__name__}: {plain(str(error))})"


def _described(class_name: str, payload: Json) -> str:
    return load_class(class_name, os.environ).describe(payload)


def _short(payload: Json) -> str:
    text = repr(payload)
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"


def diagnose(record: Record, reason: str) -> str:
    """Describes the part of the value that caused the rejection.

    Args:
        record: the rejected message.
        reason: the reason word of the rejection.

    Returns:
        One to three lines; "" if the value tells no more than the reason.
    """
    if not record.value:
        return ""
    return _FINDERS.get(reason, _numbers)(record, record.value)


def _not_json(record: Record, value: bytes) -> str:
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError as error:
        text = value.decode("utf-8", "replace")
        return f"line {error.lineno}, column {error.colno}\n{_around(text, error.pos)}"
    return ""


def _invalid_utf8(record: Record, value: bytes) -> str:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        # Latin-1 has one character for each byte, so the byte offset is the character offset.
        return f"byte {error.start}\n{_around(value.decode('latin-1'), error.start)}"
    return ""


def _not_finite(record: Record, value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    found = next((match for match in _NOT_FINITE.finditer(text) if match[1]), None)
    return "" if found is None else f"character {found.start()}\n{_around(text, found.start())}"


def _around(text: str, position: int) -> str:
    """Returns the text around a position, and a second line with a caret below the position."""
    before = plain(text[max(0, position - _AROUND_CHARACTERS) : position])
    after = plain(text[position : position + _AROUND_CHARACTERS])
    before = ("…" if position > _AROUND_CHARACTERS else "") + before
    after += "…" if position + _AROUND_CHARACTERS < len(text) else ""
    return f"{before}{after}\n{' ' * len(before)}^"


def _ragged(record: Record, value: bytes) -> str:
    for path, item in _walk(_parsed(value)):
        if not (isinstance(item, list) and any(isinstance(part, list) for part in item)):
            continue
        kinds = [_extent(part) for part in item]
        odd = next((index for index, kind in enumerate(kinds) if kind != kinds[0]), None)
        if odd is not None:
            return f"{path}[0] {kinds[0]}, {path}[{odd}] {kinds[odd]}"
    return ""


def _extent(item: Json) -> str:
    return f"has {len(item)} entries" if isinstance(item, list) else "is no array"


def _bad_value(record: Record, value: bytes) -> str:
    for path, item in _walk(_parsed(value)):
        is_number = isinstance(item, (int, float)) and not isinstance(item, bool)
        if path.endswith("]") and not is_number and not isinstance(item, (list, dict)):
            return f"{path} is {plain(orjson.dumps(item).decode('utf-8'))[:80]}"
    return _numbers(record, value)


def _no_payload(record: Record, value: bytes) -> str:
    document = _parsed(value)
    if not isinstance(document, dict):
        return _bytes(record, value)
    keys = ", ".join(plain(key)[:_AROUND_CHARACTERS] for key in list(document)[:_FIRST_KEYS])
    return f"the object has {keys or 'no keys'}"


def _bytes(record: Record, value: bytes) -> str:
    first = value[:_FIRST_BYTES]
    more = "…" if len(value) > _FIRST_BYTES else ""
    return f"the value begins with {first.hex(' ')}{more}  {first!r}{more}"


def _numbers(record: Record, value: bytes) -> str:
    """Describes the array of a payload; "" if the payload is not an array of numbers."""
    try:
        data = decode(record, sys.maxsize).payload.data
    except Rejected:
        return ""
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "biuf" or not data.size:
        return ""
    least, most = _at(data, data.argmin()), _at(data, data.argmax())
    return f"an array of shape {data.shape}, {data.dtype}, from {least} to {most}"


def _at(data: Json, flat: Json) -> str:
    index = ", ".join(str(int(each)) for each in np.unravel_index(flat, data.shape))
    return f"{data.ravel()[flat]} at [{index}]"


def _parsed(value: bytes) -> Json:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _walk(item: Json, path: str = "", depth: int = 0) -> Iterator[Tuple[str, Json]]:
    """Yields the path and value of each item of a JSON document, parents first.

    Items that are nested deeper than `MAX_DEPTH` are left out.
    """
    yield path, item
    if depth > MAX_DEPTH:
        return
    if isinstance(item, dict):
        for key, part in item.items():
            yield from _walk(part, f"{path}.{plain(key)}" if path else plain(key), depth + 1)
    elif isinstance(item, list):
        for index, part in enumerate(item):
            yield from _walk(part, f"{path}[{index}]", depth + 1)


_FINDERS: Dict[str, Callable[[Record, bytes], str]] = {
    "bad_image": _bytes,
    "bad_value": _bad_value,
    "invalid_utf8": _invalid_utf8,
    "no_payload": _no_payload,
    "not_finite": _not_finite,
    "not_json": _not_json,
    "not_protobuf": _bytes,
    "ragged": _ragged,
}
