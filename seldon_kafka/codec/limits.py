"""Limits the memory for decoding a message, beyond the bytes of the message.

The size of a message does not bound this memory: two bytes of protobuf can become a kilobyte of
Python objects, and numpy allocates for every string of an array the size of the longest string.
These limits refuse a message before the memory is allocated. With them and the limits on nesting,
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
"""Limit of the memory for decoding a message, in multiples of the maximum message size."""

# The limit of arrays and objects in JSON, because a Python list or dict takes about 200 bytes. A
# message may have this number of them, and one more for each 16 bytes of its text. A row of an
# image has 60 bytes and more, so images stay below the limit.
_FREE_CONTAINERS = 65_536
_BYTES_A_CONTAINER = 16
# The nesting limit of the JSON parser.
_DEEPEST = 1024
# The limit of fields in a protobuf message. protobuf's Python parser takes up to 2 KiB for a field.
_MOST_FIELDS = 150_000
# The limit of the memory of an array of strings, in bytes. numpy allocates for each string the size
# of the longest one, with 4 bytes per character.
_MOST_TEXT_BYTES = 128 * 1024 * 1024
_BYTES_A_CHARACTER = 4
# numpy converts a number in an array with strings to a string of this many characters.
_NUMBER_CHARACTERS = 32

_VARINT, _FIXED64, _LENGTH, _END_GROUP, _FIXED32 = 0, 1, 2, 4, 5
# Fields that take about as much memory as they have bytes in the message: strings, bytes, and
# packed lists of floats.
_AS_LARGE_AS_THEIR_BYTES = (
    FieldDescriptor.CPPTYPE_STRING,
    FieldDescriptor.CPPTYPE_DOUBLE,
    FieldDescriptor.CPPTYPE_FLOAT,
)
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_STRING = re.compile(rb'"[^"]*"')


def check_containers(value: bytes) -> None:
    """Refuses JSON text with too many arrays and objects.

    Raises:
        Rejected: the text has too many arrays and objects, or is nested too deeply.
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
    """Refuses arrays in which every value would take the memory of a long string.

    Args:
        value: the JSON text.
        arrays: values of the parsed JSON that will become arrays.

    Raises:
        Rejected: an array would take too much memory.
    """
    # The array is largest if half of the text is one string, and the rest are values of two bytes
    # each. It then takes half of the square of the text's size.
    if len(value) ** 2 // 2 <= _MOST_TEXT_BYTES:
        return
    longest = max(_longest_string(value), _NUMBER_CHARACTERS)
    if _array_bytes(value.count(b",") + 1, longest) > _MOST_TEXT_BYTES:
        for array in arrays:
            check_array_of_texts(array)


def _longest_string(value: bytes) -> int:
    """Returns an upper bound of the size of the longest string in JSON text, in bytes."""
    if b"\\" in value:
        return len(value)
    return max((found.end() - found.start() for found in _STRING.finditer(value)), default=0)


def _array_bytes(values: int, longest: int) -> int:
    return values * longest * _BYTES_A_CHARACTER


def check_array_of_texts(nested: Json) -> None:
    """Refuses nested lists in whose array every value would take the memory of a long string.

    Raises:
        Rejected: the array would take too much memory.
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
    if _array_bytes(values, longest) > _MOST_TEXT_BYTES:
        raise Rejected(
            "too_large",
            f"as an array, {values} values beside a text of {longest} characters take "
            f"{_array_bytes(values, longest)} bytes, more than the {_MOST_TEXT_BYTES} allowed; "
            "send fewer, or shorter texts",
        )


def lists_in(nested: Json) -> Iterator[Sequence[Json]]:
    """Yields the lists in a JSON value at any depth, and the values of each object as a list."""
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
    """Refuses a protobuf message with too many fields.

    Args:
        value: bytes of the message, which may be invalid.
        descriptor: descriptor of the message type.

    Raises:
        Rejected: the message has too many fields.
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


def count_fields(value: bytes, descriptor: Descriptor, most: int) -> int:
    """Counts the fields of a protobuf message and its nested messages, without parsing it.

    A packed list of varints counts as one field, and one more per byte. A packed list of floats
    counts as one field, because its memory is proportional to its bytes. See
    https://protobuf.dev/programming-guides/encoding/ for the encoding.

    Args:
        value: bytes of the message, which may be invalid.
        descriptor: descriptor of the message type.
        most: the limit; counting ends above this count.
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
    """Returns whether a message ends before its last byte, at a group end without a start.

    Args:
        value: bytes of the message; if they are invalid before such a group end, the result is
            False.
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
            # The parser checks groups and unknown wire types.
            return False
    return False


def _varint(value: bytes, at: int) -> Tuple[int, int]:
    """Returns the varint at an index, and the index after it; missing bytes count as zero."""
    number = shift = 0
    for byte in value[at : at + 10]:
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return number, at
