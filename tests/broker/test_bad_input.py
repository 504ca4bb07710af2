"""Whatever arrives, each bad message becomes one dead letter and harms nobody."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable

import psutil
import pytest
from PIL import Image

from kafka.messages import Headers, Record, header
from producer.bundled_samples import load_samples
from tests.broker.stream import Stream, wait_until

NewStream = Callable[..., Stream]

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
    ("NaN", b'{"data":{"ndarray":[[NaN]]}}', (), "not_finite", "NaN"),
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


@pytest.mark.parametrize("batching", ["on", "off"])
def test_each_bad_message_becomes_one_dead_letter_and_its_neighbours_are_answered(
    new_stream: NewStream, batching: str
) -> None:
    stream = new_stream(partitions=2, max_message_bytes=str(8 * 1024 * 1024 + 65536))
    samples = load_samples()
    good = [ndarray(image.tolist()) for image in samples.images]
    worker = stream.start(
        "kafka.worker", "wrapper.KmnistClassifier", KAFKA_BATCHING=batching, KAFKA_WORKER_ID="a"
    )
    stream.send(good, partition=0)
    alone = by_place(stream.replies(len(good), within_s=60))
    before = psutil.Process(worker.pid).memory_info().rss

    for place, (what, value, headers, _, _) in enumerate(BAD):
        stream.send([good[place]], partition=1)
        stream.send([value], partition=1, headers=[*headers, ("what", what.encode())])
    stream.send([good[0]], partition=1)

    letters = stream.letters(len(BAD), within_s=60)
    assert len(letters) == len(BAD)
    found = {(header(item.record.headers, "what") or b"").decode(): item for item in letters}
    for what, value, _, reason, part in BAD:
        assert found[what].reason == reason, (what, found[what].message)
        assert part in found[what].message, what
        assert found[what].original().value == value
    replies = stream.replies(len(good) + len(BAD) + 1, within_s=60)
    among_bad = [reply for reply in replies if reply.partition == 1]
    for place, reply in enumerate(among_bad[:-1]):
        assert probabilities(reply) == pytest.approx(probabilities(alone[place]), abs=1e-5)
    wait_until(lambda: stream.lag() == 0, 20, "everything is committed")
    grown = psutil.Process(worker.pid).memory_info().rss - before
    # Arrays of 5 MB of JSON are made and freed; nothing of them may stay, let alone of a bomb
    # of 400 MB.
    assert grown < 80 * 1024 * 1024


def by_place(replies: list[Record]) -> dict[int, Record]:
    return {int(header(reply.headers, "seq") or b"-1"): reply for reply in replies}


def probabilities(reply: Record) -> list[float]:
    (row,) = json.loads(reply.value or b"")["data"]["ndarray"]
    return list(row)
