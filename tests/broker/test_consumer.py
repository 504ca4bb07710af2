"""`python -m consumer` on a real broker, with replies in the runtime's form."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient, NewPartitions

from consumer.pictures import PictureFetcher
from consumer.reader import Reader
from kafka.cluster.local import Cluster
from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from tests.support.patience import patient, promised
from tests.support.stream import wait_until

ROOT = Path(__file__).resolve().parents[2]


Headers = list[tuple[str, str | bytes | None]]


class Topics:
    """Three topics, and replies and dead letters that the test writes instead of the runtime."""

    def __init__(self, bootstrap: str, new_topic: Callable[..., str]) -> None:
        self.bootstrap = bootstrap
        self.input = new_topic("in", partitions=2)
        self.output = new_topic("out", partitions=2)
        self.dead = new_topic("dead", partitions=2)
        self.environment = {
            **os.environ,
            "KAFKA_BROKER": bootstrap,
            "KAFKA_INPUT_TOPIC": self.input,
            "KAFKA_OUTPUT_TOPIC": self.output,
            "KAFKA_DEAD_LETTER_TOPIC": self.dead,
        }
        self.producer = Producer({"bootstrap.servers": bootstrap})
        self.images = load_samples().images

    def ask(self, number: int) -> None:
        value = encode(FORMATS["ndarray"], self.images[number : number + 1])
        self.producer.produce(self.input, value, partition=0)
        assert self.producer.flush(20) == 0

    def answer(self, number: int, label: str = "o", truth: str = "o") -> None:
        reply = {"data": {"names": [label, "other"], "ndarray": [[0.9, 0.1]]}, "meta": {}}
        headers: Headers = [("truth", truth.encode()), *self._place(number)]
        self.producer.produce(self.output, json.dumps(reply).encode(), partition=0, headers=headers)
        assert self.producer.flush(20) == 0

    def reject(self, number: int) -> None:
        why = [("kafka-dead-reason", b"bad_shape"), ("kafka-dead-message", b"expected 784")]
        headers: Headers = [*why, *self._place(number)]
        self.producer.produce(self.dead, b"?", partition=0, headers=headers)
        assert self.producer.flush(20) == 0

    def _place(self, number: int) -> list[tuple[str, bytes]]:
        return [
            ("kafka-worker", b"w.0"),
            ("kafka-input-topic", self.input.encode()),
            ("kafka-input-partition", b"0"),
            ("kafka-input-offset", b"%d" % number),
        ]

    def consume(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "consumer", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            check=False,
        )

    @contextmanager
    def consuming(self, *arguments: str, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
        """Starts a consumer, and waits until it reads."""
        with subprocess.Popen(
            [sys.executable, "-m", "consumer", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=stdout,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                assert process.stderr is not None
                assert process.stderr.readline().startswith(b"reading ")
                yield process
            finally:
                process.kill()


@pytest.fixture
def topics(bootstrap: str, new_topic: Callable[..., str]) -> Topics:
    return Topics(bootstrap, new_topic)


def lines(output: bytes) -> list[Any]:
    return [json.loads(line) for line in output.splitlines()]


def offsets(output: bytes) -> list[int]:
    return [line["input"]["offset"] for line in lines(output)]


def test_only_replies_after_the_start_are_shown(
    topics: Topics,
) -> None:
    topics.answer(0)
    with topics.consuming("--json", "--count", "2", stdout=subprocess.PIPE) as consumer:
        topics.answer(1)
        topics.answer(2)
        out, _ = consumer.communicate(timeout=patient(30))
    assert consumer.returncode == 0
    assert offsets(out) == [1, 2]
    assert all(0 <= line["latency_ms"] < promised(10_000) for line in lines(out))


def test_from_the_beginning_all_replies_are_shown_and_counted(topics: Topics) -> None:
    for number in range(3):
        topics.ask(number)
        topics.answer(number)
    done = topics.consume("--json", "--from-beginning", "--count", "3")
    assert offsets(done.stdout) == [0, 1, 2]
    assert b"3 messages in, 3 answered, 0 dead, accuracy 100.00 %" in done.stderr


def test_fewer_replies_than_requested_are_a_failure(topics: Topics) -> None:
    topics.answer(0)
    done = topics.consume("--json", "--from-beginning", "--count", "2", "--timeout", "3")
    assert done.returncode == 1
    assert len(lines(done.stdout)) == 1


def test_a_score_counts_dead_letters_duplicates_and_gaps(topics: Topics) -> None:
    for number in (0, 1, 1, 4):
        topics.answer(number, label="o", truth="o" if number else "ki")
    topics.reject(2)
    done = topics.consume("--score", "--from-beginning", "--count", "5")
    shown = " ".join(done.stdout.decode().split())
    assert done.returncode == 0, done.stderr
    assert "dead: bad_shape: expected 784" in shown
    assert "4 answered, 1 dead, accuracy 75.00 %" in shown
    assert "1 duplicates" in shown
    assert "1 gaps" in shown
    assert "1 dead: bad_shape" in shown


def test_lines_include_dead_letters_only_on_request(topics: Topics) -> None:
    topics.answer(0)
    topics.reject(1)
    options = ("--json", "--from-beginning", "--timeout", "3")
    assert len(lines(topics.consume(*options).stdout)) == 1
    with_dead = lines(topics.consume(*options, "--dead-letters").stdout)
    assert [line["dead"] for line in with_dead if line["dead"]] == [
        {"reason": "bad_shape", "message": "expected 784"}
    ]


def test_a_group_resumes_at_its_committed_offset(topics: Topics, name: str) -> None:
    options = ("--json", "--group", name, "--from-beginning", "--count", "2")
    for number in range(4):
        topics.answer(number)
    assert offsets(topics.consume(*options).stdout) == [0, 1]
    assert offsets(topics.consume(*options).stdout) == [2, 3]


def test_an_aborted_answer_is_never_shown(topics: Topics, name: str) -> None:
    aborting = Producer({"bootstrap.servers": topics.bootstrap, "transactional.id": name})
    aborting.init_transactions(20)
    aborting.begin_transaction()
    aborting.produce(topics.output, b'{"data":{"ndarray":[[1]]}}', partition=0)
    aborting.flush(20)
    aborting.abort_transaction(20)
    topics.answer(7)
    done = topics.consume("--json", "--from-beginning", "--timeout", "3")
    assert offsets(done.stdout) == [7]


def test_the_error_for_a_missing_topic_is_one_line(topics: Topics) -> None:
    topics.environment["KAFKA_OUTPUT_TOPIC"] = "missing"
    done = topics.consume("--json")
    assert done.returncode == 1
    assert b"seldon-kafka topics create" in done.stderr
    assert b"Traceback" not in done.stderr


def test_ctrl_c_ends_with_the_summary(topics: Topics) -> None:
    with topics.consuming("--json", stdout=subprocess.DEVNULL) as consumer:
        consumer.send_signal(signal.SIGINT)
        _, error = consumer.communicate(timeout=patient(20))
    assert consumer.returncode == 130
    assert b"0 answered" in error
    assert b"Traceback" not in error


@pytest.mark.parametrize("in_group", [False, True])
def test_partitions_that_are_added_are_read_too(
    in_group: bool,
    cluster: Cluster,
    name: str,
    new_topic: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumer.reader._METADATA_S", 0.2)
    topic = new_topic(partitions=1)
    config = {"bootstrap.servers": cluster.bootstrap, "group.id": name}
    reader = Reader(
        config, [topic], from_beginning=in_group, group=in_group, all_partitions=in_group
    )
    try:
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        admin.create_partitions([NewPartitions(topic, 2)])[topic].result()
        producer = Producer({"bootstrap.servers": cluster.bootstrap})
        while len(producer.list_topics(topic).topics[topic].partitions) < 2:
            pass
        producer.produce(topic, b"x", partition=1)
        assert producer.flush(20) == 0
        found: list[Message] = wait_until(lambda: reader.read(10, 0.1), 20, "it is read")
        assert [m.partition() for m in found] == [1]
    finally:
        reader.close()


@pytest.fixture
def fetcher(topics: Topics) -> Iterator[PictureFetcher]:
    made = PictureFetcher({"bootstrap.servers": topics.bootstrap, "group.id": "unused"}, 2**20)
    yield made
    made.close()


def test_the_picture_of_an_input_is_fetched_by_its_position(
    topics: Topics, fetcher: PictureFetcher
) -> None:
    for number in range(3):
        topics.ask(number)
    deleted = (topics.input, 0, 99)
    places = [(topics.input, 0, number) for number in (2, 0)]
    for place in (*places, deleted):
        fetcher.request(place)
    wait_until(
        lambda: all(fetcher.result(place)[0] for place in (*places, deleted)),
        20,
        "all are fetched",
    )
    for topic, partition, offset in places:
        images = fetcher.result((topic, partition, offset))[1]
        assert images is not None
        assert np.array_equal(images[0], topics.images[offset])
    assert fetcher.result(deleted) == (True, None)


def test_on_a_terminal_each_image_is_drawn_beside_its_label(topics: Topics) -> None:
    topics.ask(0)
    ours, theirs = pty.openpty()
    topics.environment.update(TERM="xterm-256color", COLUMNS="110", LINES="40")
    shown = bytearray()

    def watch() -> None:
        while True:
            try:
                shown.extend(os.read(ours, 65536))
            except OSError:  # the other end is closed
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    with topics.consuming("--count", "1", stdout=theirs) as consumer:
        os.close(theirs)
        topics.answer(0, label="wo", truth="wo")
        consumer.communicate(timeout=patient(30))
    watcher.join(patient(10))
    os.close(ours)
    text = shown.decode(errors="replace")
    assert consumer.returncode == 0
    assert "を wo" in text
    assert "█" in text
    assert "1 messages in" not in text  # the input was sent before the consumer started
    assert "1 answered, 0 dead" in text
