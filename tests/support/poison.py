"""Messages that no sender should send, each with what is to become of it."""

from __future__ import annotations

import io
import json
import struct
import zlib

from PIL import Image

from seldon_kafka.messages import Headers

PNG = (("content-type", b"image/png"),)
RAW = (("content-type", b"application/octet-stream"),)
PROTOBUF = (("proto-name", b"seldon.protos.SeldonMessage"),)


def ndarray(rows: object) -> bytes:
    return json.dumps({"data": {"ndarray": rows}}).encode()


def png_that_unpacks_to(width: int, height: int) -> bytes:
    """A few kilobytes that say they are an image of that size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    body = packer.compress(bytes(width + 1) * 2000) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def truncated_png() -> bytes:
    whole = io.BytesIO()
    Image.effect_noise((28, 28), 80).save(whole, "PNG")
    return whole.getvalue()[:-60]


IMAGE = [[0] * 28 for _ in range(28)]
RAGGED = [[0] * 27, [0] * 29, *IMAGE[2:]]
BAD: list[tuple[str, bytes | None, Headers, str, str]] = [
    ("not JSON", b"hello", (), "not_json", "character 0"),
    ("empty value", b"", (), "empty", "no bytes"),
    ("null value", None, (), "tombstone", "null"),
    ("wrong shape", ndarray([[0] * 756]), (), "bad_shape", "784"),
    ("ragged rows", ndarray([RAGGED]), (), "ragged", "rectangular"),
    ("NaN", b'{"data":{"ndarray":[[%bNaN]]}}' % (b"0," * 783), (), "not_finite", "NaN"),
    ("values out of range", ndarray([[256] * 784]), (), "bad_value", "255"),
    ("strings among numbers", ndarray([["1", *[0] * 783]]), (), "bad_value", ""),
    ("40 levels", ndarray(json.loads("[" * 40 + "0" + "]" * 40)), (), "too_deep", "32"),
    ("5 MB of zeros", bytes(5_000_000), (), "not_json", "character 0"),
    ("5 MB of raw zeros", bytes(5_000_000), RAW, "bad_shape", "784"),
    ("5 MB of JSON zeros", ndarray([0] * 1_600_000), (), "bad_shape", "784"),
    ("PNG bomb", png_that_unpacks_to(20_000, 20_000), PNG, "image_too_large", "4096"),
    ("truncated PNG", truncated_png(), PNG, "bad_image", ""),
    ("no protobuf", b"\x0a\xff\xff", PROTOBUF, "not_protobuf", "SeldonMessage"),
    ("content-type", b"a,b", (("content-type", b"text/csv"),), "unknown_content_type", "text/csv"),
    ("2^63", ndarray([[2**63] * 784]), (), "bad_value", ""),
    ("invalid UTF-8", b'{"strData":"\xff"}', (), "invalid_utf8", "byte"),
]
