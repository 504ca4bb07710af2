"""Counts the fields of a protobuf message without parsing it into objects.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import List, Tuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

_VARINT, _FIXED64, _LENGTH, _END_GROUP, _FIXED32 = 0, 1, 2, 4, 5
# Text, bytes, and packed lists of floats.
_AS_LARGE_AS_THEIR_BYTES = (
    FieldDescriptor.CPPTYPE_STRING,
    FieldDescriptor.CPPTYPE_DOUBLE,
    FieldDescriptor.CPPTYPE_FLOAT,
)
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}


def count_fields(value: bytes, descriptor: Descriptor, most: int) -> int:
    """Counts the fields of a message and its nested messages; packed numbers count one by one.

    A packed list of fixed size (floats) counts as one field, because its memory follows its bytes.

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
