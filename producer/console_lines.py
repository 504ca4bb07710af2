"""Writes messages as lines for Kafka's console producer, and the command that reads them."""

from __future__ import annotations

import shlex

from producer.formats import FormatError, WireFormat
from producer.messages import Message

_FIELD = "\t"
_HEADER = ","
_PAIR = ":"
_DEFAULT_MAX_BYTES = 2**20 - 512  # Kafka's max.request.size, without the overhead of a message


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
    """Returns a message as the console producer parses it: headers, key and value, between tabs.

    Raises:
        FormatError: the key has a tab or a line break, which would end it.
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
    """Returns the console command that reads such lines.

    Args:
        topic: the topic.
        with_key: whether lines have keys.
        with_headers: whether lines have headers.
        value_bytes: maximum size of a value; the default limit of Kafka's tool is 1 MiB.
    """
    words = ["python", "-m", "kafka.cluster", "console-producer", "--topic", topic]
    if with_headers:
        words += ["--reader-property", "parse.headers=true"]
    if with_key:
        words += ["--reader-property", "parse.key=true"]
    if value_bytes > _DEFAULT_MAX_BYTES:
        words += ["--command-property", f"max.request.size={2 * value_bytes}"]
    return shlex.join(words)
