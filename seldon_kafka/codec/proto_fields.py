"""Counts the fields of a protobuf message without parsing it into objects.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import Any, List, Tuple

from google.protobuf.descriptor import FieldDescriptor

_VARINT, _FIXED64, _LENGTH, _END_GROUP, _FIXED32 = 0, 1, 2, 4, 5
# Text, bytes, and packed lists of floats.
_AS_LARGE_AS_THEIR_BYTES = (
    FieldDescriptor.CPPTYPE_STRING,
    FieldDescriptor.CPPTYPE_DOUBLE,
    FieldDescriptor.CPPTYPE_FLOAT,
)
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}


def count_fields(value: bytes, descriptor: Any, most: int) -> int:
    """The fields of a message and of all messages in it, each number of a packed list as one.

    Packed lists of fixed size (floats) count as one field, since they cost what their bytes say.

    Args:
        value: the message's bytes; what is no message is counted as far as it looks like one.
        descriptor: of the message type.
        most: counting ends beyond this.
    """
    count = 0
    waiting: List[Tuple[int, int, Any]] = [(0, len(value), descriptor)]
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
    """Tells whether a message ends before its bytes do, at the end of a group that never began.

    Args:
        value: the message's bytes; in what is no message nothing is found.
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
            # A group, or no type at all: the parser looks into it.
            return False
    return False


def _varint(value: bytes, at: int) -> Tuple[int, int]:
    """The number that begins here, and where it ends; bytes that are not there are zero."""
    number = shift = 0
    for byte in value[at : at + 10]:
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return number, at
