"""Limits of the memory that decoding a message takes, beyond its own bytes.

The size of a message does not bound this memory: two bytes of protobuf can become a kilobyte of
Python objects, and numpy gives every value of an array of texts the room of the longest one. These
limits refuse a message before the memory is allocated. With them and the limits on nesting,
decoding and answering a message takes at most `MOST_TIMES` times `KAFKA_MAX_MESSAGE_BYTES` at its
default; `tests/seldon_kafka/test_memory.py` measures it.
"""

from __future__ import annotations

import re
from typing import Iterable, Iterator, List, Sequence, Set, Tuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from seldon_kafka.errors import Rejected
from seldon_kafka.messages import Json

MOST_TIMES = 32
"""Limit of the memory for decoding a message, in multiples of the largest message."""

# Arrays and objects of JSON: a Python list or dict takes about 200 bytes. Beyond some, each
# needs this many bytes of text. Rows of images have 60 and more.
_FREE_CONTAINERS = 65_536
_BYTES_A_CONTAINER = 16
# The JSON parser's own limit.
_DEEPEST = 1024
# Fields of a protobuf message; protobuf's Python parser takes up to 2 KiB for one.
_MOST_FIELDS = 150_000
# An array of texts: numpy gives each value the room of the longest one, 4 bytes a character.
_MOST_TEXT_BYTES = 128 * 1024 * 1024
_BYTES_A_CHARACTER = 4
# Numbers in an array with texts become texts of this many characters.
_NUMBER_CHARACTERS = 32

_STRING = re.compile(rb'"[^"]*"')


def check_containers(value: bytes) -> None:
    """Refuses JSON text with too many arrays and objects.

    Raises:
        Rejected: it has too many.
    """
    most = _FREE_CONTAINERS + len(value) // _BYTES_A_CONTAINER
    if len(value) <= most or _containers(value) <= most:
        return
    if b"[" * _DEEPEST in value:
        raise Rejected("too_deep", "the JSON is nested too deeply")
    # Brackets in strings do not count.
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


def check_texts(value: bytes, arrays: Iterable[Json]) -> None:
    """Refuses arrays in which each value would take the room of a long text.

    Args:
        value: the JSON text.
        arrays: values of the parsed JSON that will become arrays.

    Raises:
        Rejected: an array would take too much memory.
    """
    # In the worst case half of the bytes are one text, and the rest are values of two bytes.
    if len(value) ** 2 // 2 <= _MOST_TEXT_BYTES:
        return
    longest = max(_longest_string(value), _NUMBER_CHARACTERS)
    if _room(value.count(b",") + 1, longest) > _MOST_TEXT_BYTES:
        for array in arrays:
            check_array_of_texts(array)


def _longest_string(value: bytes) -> int:
    """Returns an upper bound of the bytes of each string in JSON text."""
    if b"\\" in value:
        return len(value)
    return max((found.end() - found.start() for found in _STRING.finditer(value)), default=0)


def _room(values: int, longest: int) -> int:
    return values * longest * _BYTES_A_CHARACTER


def check_array_of_texts(nested: Json) -> None:
    """Refuses nested lists in which each value would take the room of a long text.

    Raises:
        Rejected: their array would take too much memory.
    """
    values = longest = 0
    kinds: Set[type] = set()
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


def lists_in(nested: Json) -> Iterator[Sequence[Json]]:
    """Yields all nested lists and the values of all nested objects."""
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


def check_fields(value: bytes, descriptor: Descriptor) -> None:
    """Refuses a protobuf message with too many fields; the bytes need not be a valid message.

    Args:
        value: the message's bytes.
        descriptor: descriptor of the message type.

    Raises:
        Rejected: it has too many.
    """
    # A field takes at least two bytes.
    if (
        len(value) > 2 * _MOST_FIELDS
        and count_fields(value, descriptor, _MOST_FIELDS) > _MOST_FIELDS
    ):
        raise Rejected(
            "too_large",
            f"the message has more than {_MOST_FIELDS} fields and repeated numbers; send a tensor "
            "in place of an ndarray, or fewer rows",
        )


_VARINT, _FIXED64, _LENGTH, _END_GROUP, _FIXED32 = 0, 1, 2, 4, 5
# Text, bytes, and packed lists of floats.
_AS_LARGE_AS_THEIR_BYTES = (
    FieldDescriptor.CPPTYPE_STRING,
    FieldDescriptor.CPPTYPE_DOUBLE,
    FieldDescriptor.CPPTYPE_FLOAT,
)
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}


def count_fields(value: bytes, descriptor: Descriptor, most: int) -> int:
    """Counts the fields of a protobuf message and its nested messages, without parsing it.

    Packed numbers count one by one. The encoding is described at
    https://protobuf.dev/programming-guides/encoding/. A packed list of fixed size (floats) counts
    as one field, because its memory follows its bytes.

    Args:
        value: the message's bytes; invalid bytes are counted up to the first error.
        descriptor: descriptor of the message type.
        most: the count at which counting ends.
    """
    count = 0
    waiting: List[Tuple[int, int, Descriptor]] = [(0, len(value), descriptor)]
    while waiting and count <= most:
        at, end, message = waiting.pop()
        known = message.fields_by_number
        while at < end and count <= most:
            key, at = _varint(value, at)
            count += 1
            wire_type = key & 7
            if wire_type == _VARINT:
                at = _varint(value, at)[1]
            elif wire_type == _LENGTH:
                length, at = _varint(value, at)
                length = max(0, min(length, end - at))
                field = known.get(key >> 3)
                if field is not None and field.message_type is not None:
                    waiting.append((at, at + length, field.message_type))
                elif field is not None and field.cpp_type not in _AS_LARGE_AS_THEIR_BYTES:
                    count += length
                at += length
            else:
                at += _FIXED_BYTES.get(wire_type, 0)
    return count


def ends_early(value: bytes) -> bool:
    """Returns whether a message ends before its bytes do, at an end of a group without a begin.

    Args:
        value: the message's bytes; the result is False for invalid bytes.
    """
    at = 0
    while at < len(value):
        key, at = _varint(value, at)
        wire_type = key & 7
        if wire_type == _END_GROUP:
            return True
        if wire_type == _VARINT:
            at = _varint(value, at)[1]
        elif wire_type == _LENGTH:
            length, at = _varint(value, at)
            at += length
        elif wire_type in _FIXED_BYTES:
            at += _FIXED_BYTES[wire_type]
        else:
            # A group, or an unknown type: the parser decides.
            return False
    return False


def _varint(value: bytes, at: int) -> Tuple[int, int]:
    """Returns the number that begins at a position, and its end; missing bytes count as zero."""
    number = shift = 0
    for byte in value[at : at + 10]:
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return number, at
