"""Measures how much memory a hostile message takes, in a process of its own.

`python -m tests.seldon_kafka.memory Module.Class name …` answers each of the named messages in
a fork, and prints a line of JSON for each.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

from seldon_kafka.messages import Headers, Record, Rejection
from seldon_kafka.pipeline.load_class import load_class
from seldon_kafka.pipeline.pipeline import Pipeline
from tests.support.records import record

SIZE = 8 * 1024 * 1024
PROTO = (("proto-name", b"seldon.protos.SeldonMessage"),)
ROWS, END = b'{"data":{"ndarray":[', b"]}}"


def repeated(unit: bytes, begin: bytes = ROWS, end: bytes = END) -> bytes:
    """Returns JSON of the full size: the unit repeated, without the last comma."""
    return begin + (unit * ((SIZE - len(begin) - len(end)) // len(unit))).rstrip(b",") + end


def field(number: int, content: bytes) -> bytes:
    """Returns a protobuf field with a length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    encoded = b""
    while number > 127:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


def nested(depth: int) -> bytes:
    """Returns a protobuf `Value`: a list in a list in a list."""
    value = b"\x20\x01"
    for _ in range(depth):
        value = field(6, field(1, value))
    return value


def png(*chunks: bytes, side: int = 28) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    every = (chunk(b"IHDR", header), *chunks, pixels, chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(every)


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def tensor(shape: str, values: str) -> bytes:
    return f'{{"data":{{"tensor":{{"shape":{shape},"values":{values}}}}}}}'.encode()


NUMBER = b"\x11" + struct.pack("<d", 1.0)
LONG = b'"' + b"x" * (SIZE // 2) + b'"'
UNWRITTEN = field(
    4, b"\x08\x01" + field(2, field(2, b"\x08\xff\xff\xff\xff\x07")) + b"\x2d\0\0\0\0"
)

MESSAGES: dict[str, Callable[[], tuple[bytes, Headers]]] = {
    "lists without end": lambda: (b'{"data":{"ndarray":' + b"[" * SIZE, ()),
    "objects without end": lambda: (b'{"a":' * (SIZE // 5), ()),
    "lists 1000 deep": lambda: (b'{"jsonData":' + b"[" * 1000 + b"]" * 1000 + b"}", ()),
    "a deep list beside a number": lambda: (ROWS + b"1," + b"[" * 900 + b"]" * 900 + END, ()),
    "empty lists": lambda: (repeated(b"[],"), ()),
    "rows of one": lambda: (repeated(b"[1],"), ()),
    "empty objects": lambda: (repeated(b"{},"), ()),
    "one key again and again": lambda: (repeated(b'"a":{},', b'{"jsonData":{', b"}}"), ()),
    "many keys": lambda: (
        b'{"jsonData":{' + b",".join(b'"%x":1' % n for n in range(800_000)) + b"}}",
        (),
    ),
    "lists in a text": lambda: (repeated(b'\\"[', b'{"strData":"', b'"}'), ()),
    "whole numbers": lambda: (repeated(b"1,"), ()),
    "fractions": lambda: (repeated(b"0.5,"), ()),
    "rows of eight": lambda: (repeated(b"[1,2,3,4,5,6,7,8],"), ()),
    "large numbers": lambda: (repeated(b"1" * 30 + b","), ()),
    "a number of 4000 digits": lambda: (repeated(b"9" * 4000 + b","), ()),
    "a number of 8 million digits": lambda: (repeated(b"9"), ()),
    "1e999999": lambda: (ROWS + b"1e999999" + END, ()),
    "nulls": lambda: (repeated(b"null,"), ()),
    "short texts": lambda: (repeated(b'"a",'), ()),
    "a long text beside short ones": lambda: (ROWS + LONG + b',""' * 1_000_000 + END, ()),
    "a text beside numbers": lambda: (repeated(b"0,", ROWS + b'"a",'), ()),
    "90 kB of texts": lambda: (ROWS + b'"' + b"x" * 50_000 + b'"' + b',""' * 16_000 + END, ()),
    "a long wide text": lambda: (repeated(b"x", '{"strData":"\U0001f600'.encode(), b'"}'), ()),
    "base64": lambda: (repeated(b"A", b'{"binData":"', b'"}'), ()),
    "a tensor of too few values": lambda: (tensor("[1000000000,784]", "[1]"), ()),
    "rows of nothing": lambda: (tensor("[1000000000,0]", "[]"), ()),
    "columns of nothing": lambda: (tensor("[0,1000000000000]", "[]"), ()),
    "more than numpy counts": lambda: (tensor("[0,9223372036854775807,9]", "[]"), ()),
    "a long shape": lambda: (
        repeated(b"1,", b'{"data":{"tensor":{"shape":[', b'],"values":[1]}}}'),
        (),
    ),
    "instances": lambda: (b'{"instances":[' + LONG + b',""' * 1_000_000 + b"]}", ()),
    "BYTES": lambda: (
        b'{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","data":[{"a":'
        + LONG
        + b"}"
        + b",1" * 1_000_000
        + b"]}]}",
        (),
    ),
    "protobuf values": lambda: (field(3, field(3, b"\x0a\x00" * (SIZE // 2))), PROTO),
    "protobuf numbers": lambda: (field(3, field(3, field(1, NUMBER) * (SIZE // 11))), PROTO),
    "most protobuf numbers": lambda: (field(3, field(3, field(1, NUMBER) * 74_000)), PROTO),
    "protobuf tensor": lambda: (field(3, field(2, field(2, bytes(SIZE)))), PROTO),
    "protobuf shape": lambda: (field(3, field(2, field(1, b"\x01" * SIZE))), PROTO),
    "protobuf names": lambda: (field(3, b"\x0a\x00" * (SIZE // 2)), PROTO),
    "protobuf metrics": lambda: (field(2, b"\x2a\x00" * (SIZE // 2)), PROTO),
    "unknown protobuf fields": lambda: (b"\xf8\x7f\x01" * (SIZE // 3), PROTO),
    "deep protobuf": lambda: (field(3, field(3, field(1, nested(400)))), PROTO),
    "deeper protobuf": lambda: (field(6, nested(5000)), PROTO),
    "protobuf texts": lambda: (
        field(3, field(3, field(1, field(3, b"x" * 50_000)) + field(1, field(3, b"")) * 50_000)),
        PROTO,
    ),
    "a tftensor that is not written out": lambda: (field(3, UNWRITTEN), PROTO),
    "a picture of 65000 x 65000": lambda: (png(side=65_000), ()),
    "pixels without end": lambda: (png(chunk(b"IDAT", zlib.compress(bytes(1 << 28)))), ()),
    "texts in a picture": lambda: (
        png(*(chunk(b"zTXt", b"k%d\0\0" % n + zlib.compress(bytes(10**6))) for n in range(99))),
        (),
    ),
    "a colour profile": lambda: (
        png(chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(1 << 28)))),
        (),
    ),
    "chunks of a picture": lambda: (png(chunk(b"tEXt", b"k\0x") * 400_000), ()),
    "raw pixels": lambda: (
        bytes(SIZE // 784 * 784),
        (("content-type", b"application/octet-stream"),),
    ),
}


def main(class_name: str, *names: str) -> None:
    served = load_class(class_name)
    pipeline = Pipeline(served, SIZE * 2)
    # Memory that is allocated at the first use is not counted for a message.
    first = (ROWS + b"[1,2]" + END, ()), (field(3, field(3, field(1, NUMBER))), PROTO), (png(), ())
    pipeline.run([record(value, headers=headers) for value, headers in first])
    for name in names:
        value, headers = MESSAGES[name]()
        message = record(value, headers=headers)
        if os.fork() == 0:
            try:
                print(json.dumps({"name": name, **_measured(pipeline, message)}), flush=True)
            finally:
                os._exit(0)
        os.wait()


def _measured(pipeline: Pipeline, message: Record) -> dict[str, object]:
    # This resets the kernel's high-water mark.
    Path("/proc/self/clear_refs").write_text("5")
    before = _kilobytes("VmHWM")
    resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))
    (outcome,) = pipeline.run([message]).outcomes
    return {
        "grown_mib": (_kilobytes("VmHWM") - before) / 1024,
        "reason": outcome.reason if isinstance(outcome, Rejection) else None,
        "failed": isinstance(outcome, Rejection) and outcome.failed,
    }


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


if __name__ == "__main__":
    main(*sys.argv[1:])
