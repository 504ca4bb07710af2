"""Bytes as they are (images, raw rows): the class's `to_rows` or `predict` reads them."""

from __future__ import annotations

from seldon_kafka.codec import seldon_json
from seldon_kafka.codec.json_text import JSON_HEADERS
from seldon_kafka.codec.seldon_replies import reply_writer
from seldon_kafka.codec.wire_format import WireFormat
from seldon_kafka.messages import Payload


def decode(value: bytes) -> Payload:
    """The bytes, as Seldon hands `binData` to a class."""
    return Payload("binData", value, (), {}, None)


FORMAT = WireFormat("bytes", decode, seldon_json.encode, JSON_HEADERS, reply_writer)
