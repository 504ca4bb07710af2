"""Writes messages as lines for Kafka's console producer, and the command that reads the lines."""

from __future__ import annotations

import shlex

from producer.formats import FormatError, WireFormat
from producer.messages import Message

_FIELD = "\t"
_HEADER = ","
_PAIR = ":"
# The default of Kafka's max.request.size, minus room for the headers and the key of a message.
_DEFAULT_MAX_BYTES = 2**20 - 512


def check_text(wire_format: WireFormat) -> None:
    """Checks that a message in this format is a line of text.

    Raises:
        FormatError: the format is binary.
    """
    if not wire_format.is_text:
        raise FormatError(
            f"format {wire_format.name} is binary, and the console producer reads lines: send "
            "images as `--format bindata` (or ndarray, tensor, v2, tfserving), or omit --stdout"
        )


def line(message: Message, with_key: bool, with_headers: bool) -> bytes:
    """Returns a message as a line for the console producer: headers, key and value, tab-separated.

    Args:
        message: the message; a missing key becomes an empty one.
        with_key: whether the line has the key.
        with_headers: whether the line has the headers.

    Raises:
        FormatError: the key has a tab or a line break, which the console producer would not read
            as part of the key.
    """
    fields = []
    if with_headers:
        pairs = (name.encode() + _PAIR.encode() + value for name, value in message.headers)
        fields.append(_HEADER.encode().join(pairs))
    if with_key:
        key = message.key or b""
        if any(mark in key for mark in (b"\t", b"\n", b"\r")):
            raise FormatError("a key with a tab or a line break cannot go through --stdout")
        fields.append(key)
    fields.append(message.value)
    return _FIELD.encode().join(fields) + b"\n"


def command(topic: str, with_key: bool, with_headers: bool, value_bytes: int) -> str:
    """Returns the command of the console producer that reads the lines of `line`.

    Args:
        topic: topic to write to.
        with_key: whether lines have keys.
        with_headers: whether lines have headers.
        value_bytes: size of the largest value in bytes. Above Kafka's default limit of 1 MiB, the
            command sets a higher one.
    """
    words = ["python", "-m", "kafka.cluster", "console-producer", "--topic", topic]
    if with_headers:
        words += ["--reader-property", "parse.headers=true"]
    if with_key:
        words += ["--reader-property", "parse.key=true"]
    if value_bytes > _DEFAULT_MAX_BYTES:
        words += ["--command-property", f"max.request.size={2 * value_bytes}"]
    return shlex.join(words)
