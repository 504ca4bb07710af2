"""Wire formats: decode records to payloads, and encode predictions to the bytes of replies.

The headers `proto-name` and `content-type` decide between JSON, protobuf and binary. Without these
headers, a value that begins like a PNG or JPEG image is binary, and any other value is JSON. The
keys of a JSON object decide between the JSON formats.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple

from seldon_kafka.codec import binary, seldon_json, seldon_proto, tfserving, v2
from seldon_kafka.codec.json_text import parse_any_json, parse_json
from seldon_kafka.codec.limits import check_texts
from seldon_kafka.codec.wire_format import WireFormat
from seldon_kafka.errors import Rejected
from seldon_kafka.messages import (
    UNREADABLE_BATCH,
    UNREADABLE_HEADERS,
    Json,
    JsonObject,
    Payload,
    Record,
    header,
)

__all__ = [
    "Decoded",
    "WireFormat",
    "array_field",
    "array_place",
    "checked_value",
    "decode",
    "decode_json",
    "decode_raw",
    "decode_request",
    "family_of",
]

_FAMILIES: Dict[str, str] = {
    "application/json": "json",
    "text/json": "json",
    "text/plain": "json",
    "application/x-protobuf": "protobuf",
    "application/protobuf": "protobuf",
    "application/vnd.google.protobuf": "protobuf",
    "application/octet-stream": "binary",
    "image/png": "binary",
    "image/jpeg": "binary",
    "image/jpg": "binary",
}
# The same for the bytes of a header that is written as above.
_FAMILIES_OF_BYTES = {name.encode("ascii"): family for name, family in _FAMILIES.items()}
_SELDON_FIELDS = frozenset(("data", "binData", "strData", "jsonData"))
_IMAGE_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


class Decoded(NamedTuple):
    """The payload of a record, and the wire format of its reply."""

    payload: Payload
    wire_format: WireFormat


def decode(record: Record, max_bytes: int) -> Decoded:
    """Decodes a record's value.

    Args:
        record: the record.
        max_bytes: larger values are refused before they are parsed.

    Raises:
        Rejected: the value is missing, empty or too large, its headers name an unknown format, or
            it is not a request in its format.
    """
    value = checked_value(record, max_bytes)
    family = family_of(record, value)
    if family == "json":
        return decode_json(value)
    wire_format = seldon_proto.FORMAT if family == "protobuf" else binary.FORMAT
    return Decoded(wire_format.decode(value), wire_format)


def decode_raw(record: Record, max_bytes: int) -> Decoded:
    """Parses a record's value for a user model with raw methods.

    Any JSON but null is accepted. The payload is of kind `raw`, or `binData` for a binary value.

    Args:
        record: the record.
        max_bytes: larger values are refused before they are parsed.

    Raises:
        Rejected: the value is missing, empty or too large, its headers name an unknown format, or
            it can't be parsed in its format or is JSON null.
    """
    value = checked_value(record, max_bytes)
    family = family_of(record, value)
    if family == "binary":
        return Decoded(binary.FORMAT.decode(value), binary.FORMAT)
    if family == "protobuf":
        message = seldon_proto.parse(value)
        meta = {"puid": message.meta.puid} if message.meta.puid else {}
        return Decoded(Payload("raw", None, (), meta, message), seldon_proto.FORMAT)
    document = parse_any_json(value)
    if document is None:
        raise Rejected("no_payload", "the JSON is null; a request was expected")
    found = document.get("meta") if isinstance(document, dict) else None
    meta = found if isinstance(found, dict) else {}
    return Decoded(Payload("raw", None, (), meta, document), _json_format(document))


def decode_request(payload: Payload, wire_format: WireFormat) -> Payload:
    """Decodes the payload of a message that `decode_raw` has parsed.

    A payload of another kind than `raw` is returned unchanged.

    Raises:
        Rejected: the message is not a request in this format.
    """
    if payload.kind != "raw":
        return payload
    request = payload.request
    if wire_format is seldon_proto.FORMAT:
        return seldon_proto.payload_of(request)
    if not isinstance(request, dict):
        raise Rejected("no_payload", "a JSON object is expected")
    return wire_format.decode(request)


def checked_value(record: Record, max_bytes: int) -> bytes:
    """Returns a record's value, after checks of its presence and size.

    Raises:
        Rejected: the value is missing, empty or too large, or the client could not read the record.
    """
    value = record.value
    if record.headers is UNREADABLE_BATCH:
        raise Rejected(
            "unreadable", "its batch can't be decompressed, or has over 100 MB when decompressed"
        )
    if record.headers is UNREADABLE_HEADERS:
        raise Rejected("bad_headers", "header names are not UTF-8, so the headers are lost")
    if value is None:
        raise Rejected("tombstone", "the value is null; a request was expected")
    if not value:
        raise Rejected("empty", "the value has no bytes; a request was expected")
    if len(value) > max_bytes:
        raise Rejected(
            "too_large", f"the value has {len(value)} bytes, more than the {max_bytes} allowed"
        )
    return value


def family_of(record: Record, value: bytes) -> str:
    """Returns the family of formats of a value: `json`, `protobuf` or `binary`.

    Raises:
        Rejected: the headers name an unknown format.
    """
    if record.headers:
        proto_name = header(record.headers, "proto-name")
        if proto_name is not None:
            seldon_proto.check_name(proto_name)
            return "protobuf"
        content_type = header(record.headers, "content-type")
        if content_type is not None:
            return _family_of(content_type)
    return "binary" if value.startswith(_IMAGE_MAGIC) else "json"


def _family_of(content_type: bytes) -> str:
    as_written = _FAMILIES_OF_BYTES.get(content_type)
    if as_written is not None:
        return as_written
    name = content_type.split(b";")[0].strip().lower().decode("utf-8", "replace")
    family = _FAMILIES.get(name)
    if family is None:
        known = ", ".join(sorted(_FAMILIES))
        raise Rejected("unknown_content_type", f"content-type {name[:80]!r} is none of {known}")
    return family


def decode_json(value: bytes) -> Decoded:
    """Decodes JSON text in any of the JSON formats.

    Raises:
        Rejected: the text is not a request in any of these formats.
    """
    document = parse_json(value)
    check_texts(value, _arrays(document))
    wire_format = _json_format(document)
    return Decoded(wire_format.decode(document), wire_format)


def _json_format(document: Json) -> WireFormat:
    if not isinstance(document, dict) or not _SELDON_FIELDS.isdisjoint(document):
        return seldon_json.FORMAT
    if "inputs" in document:
        return v2.FORMAT
    return tfserving.FORMAT if "instances" in document else seldon_json.FORMAT


def array_place(document: JsonObject) -> Optional[Tuple[JsonObject, str]]:
    """Finds the field that holds the array of a request.

    Returns:
        The object that contains the field, and the name of the field. The object may lack the
        field. None if the document has no object that can contain the field.
    """
    wire_format = _json_format(document)
    if wire_format is v2.FORMAT:
        inputs = document["inputs"]
        is_one = isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], dict)
        return (inputs[0], "data") if is_one else None
    if wire_format is tfserving.FORMAT:
        return document, "instances"
    data = document.get("data")
    if not isinstance(data, dict):
        return None
    if "tensor" in data:
        return (data["tensor"], "values") if isinstance(data["tensor"], dict) else None
    return data, "ndarray"


def array_field(document: JsonObject) -> Any:
    """Returns the value that becomes the array of a request; None if there is none."""
    place = array_place(document)
    return None if place is None else place[0].get(place[1])


def _arrays(document: JsonObject) -> Iterator[Json]:
    """Yields the values that become arrays in one of the JSON formats; some are None."""
    data, inputs = document.get("data"), document.get("inputs")
    if isinstance(data, dict):
        yield data.get("ndarray")
        yield data["tensor"].get("values") if isinstance(data.get("tensor"), dict) else None
    for tensor in inputs if isinstance(inputs, list) else ():
        yield tensor.get("data") if isinstance(tensor, dict) else None
    yield document.get("instances")
