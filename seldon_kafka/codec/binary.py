"""Binary values (images, raw rows), which `to_rows` or `predict` of the user model decodes."""

from __future__ import annotations

from seldon_kafka.codec import seldon_json
from seldon_kafka.codec.json_text import JSON_HEADERS
from seldon_kafka.codec.seldon_replies import reply_writer
from seldon_kafka.codec.wire_format import WireFormat
from seldon_kafka.messages import Payload


def decode(value: bytes) -> Payload:
    """Returns the bytes as a payload of kind `binData`, as in a Seldon message."""
    return Payload("binData", value, (), {}, None)


FORMAT = WireFormat("bytes", decode, seldon_json.encode, JSON_HEADERS, reply_writer)
