"""What a message may take of memory while it is read, beyond its own bytes.

The size of a message alone bounds little: two bytes of protobuf can become a kilobyte of Python
objects, and one long text makes numpy give every other value of its array as much room. What is
refused here is refused before that memory is taken. With the limits below, and those on nesting,
reading and answering a message takes at most `MOST_TIMES` times `KAFKA_MAX_MESSAGE_BYTES` at its
default; `tests/seldon_kafka/test_memory.py` measures it.
"""

from __future__ import annotations

import re
from typing import Any, Iterable, Iterator, Sequence, Set

from seldon_kafka.codec.proto_fields import count_fields
from seldon_kafka.errors import Rejected

MOST_TIMES = 32
"""Memory that a message may take while it is read, in messages of the largest size."""

# Arrays and objects of JSON: a Python list or dict takes about 200 bytes, so beyond the first ones
# there must be so many bytes of text for each. Rows of images have 60 and more.
_FREE_CONTAINERS = 65_536
_BYTES_A_CONTAINER = 16
# The JSON parser's own limit.
_DEEPEST = 1024
# Fields of a protobuf message; protobuf's Python parser takes up to 2 KiB for one.
_MOST_FIELDS = 150_000
# An array of texts: numpy gives each value the room of the longest one, 4 bytes a character.
_MOST_TEXT_BYTES = 128 * 1024 * 1024
_BYTES_A_CHARACTER = 4
# Numbers become texts of so many characters where a text stands beside them.
_NUMBER_CHARACTERS = 32

_STRING = re.compile(rb'"[^"]*"')


def check_containers(value: bytes) -> None:
    """Refuses JSON text of too many arrays and objects.

    Raises:
        Rejected: it has them.
    """
    most = _FREE_CONTAINERS + len(value) // _BYTES_A_CONTAINER
    if len(value) <= most or _containers(value) <= most:
        return
    if b"[" * _DEEPEST in value:
        raise Rejected("too_deep", "the JSON is nested too deeply")
    # Those inside of strings are none.
    text = value.replace(b"\\\\", b"").replace(b'\\"', b"")
    in_strings = sum(_containers(found.group()) for found in _STRING.finditer(text))
    count = _containers(text) - in_strings
    if count > most:
        raise Rejected(
            "too_large",
            f"the JSON has {count} arrays and objects, more than the {most} allowed for its "
            "size; send fewer rows",
        )


def _containers(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def check_texts(value: bytes, arrays: Iterable[Any]) -> None:
    """Refuses arrays in which a long text would take much room for each value.

    Args:
        value: the JSON text that they come of.
        arrays: parsed JSON that will become arrays.

    Raises:
        Rejected: one takes more than is allowed.
    """
    # In the worst case half of the bytes are one text, and the others values of two bytes.
    if len(value) ** 2 // 2 <= _MOST_TEXT_BYTES:
        return
    longest = max(_longest_string(value), _NUMBER_CHARACTERS)
    if _room(value.count(b",") + 1, longest) > _MOST_TEXT_BYTES:
        for array in arrays:
            check_array_of_texts(array)


def _longest_string(value: bytes) -> int:
    """No string of this JSON text has more bytes."""
    if b"\\" in value:
        return len(value)
    return max((found.end() - found.start() for found in _STRING.finditer(value)), default=0)


def _room(values: int, longest: int) -> int:
    return values * longest * _BYTES_A_CHARACTER


def check_array_of_texts(nested: Any) -> None:
    """Refuses nested lists in which a long text would take much room for each value.

    Raises:
        Rejected: they would take more than is allowed.
    """
    values = longest = 0
    kinds: Set[Any] = set()
    for leaves in lists_in(nested):
        values += len(leaves)
        kinds.update(map(type, leaves))
        if str in kinds:
            longest = max(longest, *(len(leaf) for leaf in leaves if isinstance(leaf, str)), 0)
    if longest and not kinds.isdisjoint((int, float)):
        longest = max(longest, _NUMBER_CHARACTERS)
    if _room(values, longest) > _MOST_TEXT_BYTES:
        raise Rejected(
            "too_large",
            f"as an array, {values} values beside a text of {longest} characters take "
            f"{_room(values, longest)} bytes, more than the {_MOST_TEXT_BYTES} allowed; send "
            "fewer, or shorter texts",
        )


def lists_in(nested: Any) -> Iterator[Sequence[Any]]:
    """All lists in lists and objects, however deep."""
    waiting = [nested]
    while waiting:
        found = waiting.pop()
        items = list(found.values()) if isinstance(found, dict) else found
        if not isinstance(items, (list, tuple)):
            continue
        kinds = set(map(type, items))
        if list in kinds or dict in kinds or tuple in kinds:
            waiting.extend(item for item in items if isinstance(item, (list, dict, tuple)))
        yield items


def check_fields(value: bytes, descriptor: Any) -> None:
    """Refuses a protobuf message of too many fields; whether it is one at all is not looked at.

    Args:
        value: the message's bytes.
        descriptor: of the message type.

    Raises:
        Rejected: it has them.
    """
    # A field takes two bytes and more.
    if (
        len(value) > 2 * _MOST_FIELDS
        and count_fields(value, descriptor, _MOST_FIELDS) > _MOST_FIELDS
    ):
        raise Rejected(
            "too_large",
            f"the message has more than {_MOST_FIELDS} fields and repeated numbers; send a tensor "
            "in place of an ndarray, or fewer rows",
        )
