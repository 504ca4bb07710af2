"""Each bad message becomes one dead letter and harms no other message."""

from __future__ import annotations

import json
from collections.abc import Callable

import psutil
import pytest
from confluent_kafka import Producer

from producer.bundled_samples import load_samples
from seldon_kafka.messages import Record, header
from tests.support.poison import BAD, ndarray
from tests.support.stream import Stream, numbers, source, wait_until

NewStream = Callable[..., Stream]


@pytest.mark.parametrize("batching", ["on", "off"])
def test_each_bad_message_becomes_one_dead_letter_and_its_neighbours_are_answered(
    new_stream: NewStream, batching: str
) -> None:
    stream = new_stream(partitions=2, max_message_bytes=str(8 * 1024 * 1024 + 65536))
    samples = load_samples()
    good = [ndarray(image.tolist()) for image in samples.images]
    worker = stream.start(
        "seldon_kafka",
        "worker",
        "wrapper.KmnistClassifier",
        KAFKA_BATCHING=batching,
        KAFKA_WORKER_ID="a",
    )
    stream.send(good, partition=0)
    alone = by_position(stream.replies(len(good), within_s=60))
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
    # Arrays of 5 MB of JSON are created and freed. Neither they nor a decompression bomb of 400 MB
    # may stay in memory.
    assert grown < 80 * 1024 * 1024


def by_position(replies: list[Record]) -> dict[int, Record]:
    return {int(header(reply.headers, "seq") or b"-1"): reply for reply in replies}


def probabilities(reply: Record) -> list[float]:
    (row,) = json.loads(reply.value or b"")["data"]["ndarray"]
    return list(row)


def send_too_large_batch(stream: Stream, messages: int) -> None:
    """Sends one batch of this number of messages, with more than 100 MB together."""
    config = {"compression.type": "zstd", "message.max.bytes": 10**9, "linger.ms": 5000}
    packing = Producer(stream.client({**config, "batch.size": 10**9}))
    for _ in range(messages):
        packing.produce(stream.settings.input_topic, bytes(120_000_000 // messages), partition=0)
    assert packing.flush(60) == 0


def test_a_batch_that_cannot_be_decompressed_becomes_dead_letters_and_blocks_no_other_message(
    new_stream: NewStream,
) -> None:
    stream = new_stream(partitions=1)
    stream.send(numbers(3))
    send_too_large_batch(stream, 2)
    stream.send(numbers(3))
    stream.worker("Double")
    replies = stream.replies(6)
    assert [source(reply) for reply in replies] == [(0, place) for place in (0, 1, 2, 5, 6, 7)]
    letters = stream.letters(2)
    assert [letter.reason for letter in letters] == ["unreadable"] * 2
    assert [letter.source[2] for letter in letters] == [3, 4]
    wait_until(lambda: stream.lag() == 0, 20, "everything is committed")


def test_a_batch_that_cannot_be_decompressed_harms_no_neighbour_of_a_slow_model(
    new_stream: NewStream,
) -> None:
    stream = new_stream(partitions=1)
    stream.send(numbers(3))
    send_too_large_batch(stream, 1)
    stream.send(numbers(3))
    # The client library repeats its error while the user model predicts.
    stream.worker("Slow", SLOW_S="0.5")
    replies = stream.replies(6)
    assert [source(reply) for reply in replies] == [(0, place) for place in (0, 1, 2, 4, 5, 6)]
    assert [letter.source[2] for letter in stream.letters(1)] == [3]
    wait_until(lambda: stream.lag() == 0, 20, "everything is committed")
