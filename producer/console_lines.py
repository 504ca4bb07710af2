"""Messages as lines for Kafka's console producer, and the command that reads them."""

from __future__ import annotations

import shlex

from producer.formats import FormatError, WireFormat
from producer.messages import Message

_FIELD = "\t"
_HEADER = ","
_PAIR = ":"
_LARGEST_BY_DEFAULT = 2**20 - 512  # Kafka's max.request.size, less what surrounds a value


def check_text(wire_format: WireFormat) -> None:
    """Refuse a format that is no line of text.

    Raises:
        FormatError: It is binary.
    """
    if not wire_format.is_text:
        raise FormatError(
            f"format {wire_format.name} is binary, and the console producer reads lines: send "
            "images as `--format bindata` (or ndarray, tensor, v2, tfserving), or leave "
            "--stdout out"
        )


def line(message: Message, with_key: bool, with_headers: bool) -> bytes:
    """One message as the console producer parses it: headers, key, value, parted by tabs.

    Raises:
        FormatError: The key holds a tab or a line break, which would be taken for its end.
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
    """The console command that reads such lines.

    Args:
        topic: Where to.
        with_key: Lines have keys.
        with_headers: Lines have headers.
        value_bytes: How large values get; Kafka's tool takes 1 MiB unless told otherwise.
    """
    words = ["python", "-m", "kafka.cluster", "console-producer", "--topic", topic]
    if with_headers:
        words += ["--reader-property", "parse.headers=true"]
    if with_key:
        words += ["--reader-property", "parse.key=true"]
    if value_bytes > _LARGEST_BY_DEFAULT:
        words += ["--command-property", f"max.request.size={2 * value_bytes}"]
    return shlex.join(words)
