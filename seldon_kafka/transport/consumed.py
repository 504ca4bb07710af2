"""Converts messages of the client library to records."""

from __future__ import annotations

from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE

from seldon_kafka.messages import UNREADABLE_HEADERS, Headers, Record


def record_of(message: Any) -> Record:
    """Returns the record of a consumed `confluent_kafka.Message` without an error."""
    kind, timestamp_ms = message.timestamp()
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        -1 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
        message.key(),
        message.value(),
        _headers(message),
    )


def _headers(message: Any) -> Headers:
    try:
        return message.headers() or ()
    except UnicodeDecodeError:
        return UNREADABLE_HEADERS
