"""`python -m producer` on a real broker."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message

from kafka.cluster.local import Cluster
from producer.__main__ import main
from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from tests.support.patience import promised

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def topic(cluster: Cluster, new_topic: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    name = new_topic(partitions=3)
    monkeypatch.setenv("KAFKA_BROKER", cluster.bootstrap)
    monkeypatch.setenv("KAFKA_INPUT_TOPIC", name)
    return name


def read(bootstrap: str, topic: str, count: int) -> list[Message]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    try:
        found = consumer.consume(count, timeout=30)
        assert consumer.consume(1, timeout=0.5) == []
        return found
    finally:
        consumer.close()


def test_every_message_is_acknowledged_and_counted(
    topic: str, bootstrap: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--samples", "--count", "20", "--key", "{n}", "--format", "v2"]) == 0
    error = capsys.readouterr().err
    assert "20 messages with 20 images sent, 20 acknowledged, 0 failed" in error
    found = sorted(read(bootstrap, topic, 20), key=lambda m: int(m.key() or b""))
    samples = load_samples()
    for number, message in enumerate(found):
        assert message.value() == encode(FORMATS["v2"], samples.images[number : number + 1])
        assert dict(message.headers() or [])["content-type"] == b"application/json"
        assert dict(message.headers() or [])["truth"]


def test_the_error_for_a_missing_topic_precedes_any_message(
    topic: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_INPUT_TOPIC", f"{topic}-missing")
    assert main(["--samples"]) == 1
    assert "seldon-kafka topics create" in capsys.readouterr().err


def test_refused_messages_fail_the_run_and_are_counted(
    cluster: Cluster,
    new_topic: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KAFKA_BROKER", cluster.bootstrap)
    monkeypatch.setenv("KAFKA_INPUT_TOPIC", new_topic(max_message_bytes="1500"))
    assert main(["--samples", "--count", "3", "--format", "raw", "--batch", "2"]) == 1
    error = capsys.readouterr().err
    assert "3 messages with 6 images sent, 0 acknowledged, 3 failed" in error
    assert "3 failed: Broker: Message size too large" in error


def test_a_rate_is_kept(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--samples", "--count", "30", "--rate", "50"]) == 0
    seconds = float(re.search(r"in ([\d.]+) s", capsys.readouterr().err).group(1))  # type: ignore[union-attr]
    assert 0.5 <= seconds < promised(3)


def test_a_sender_with_a_rate_uses_little_processor_time(topic: str) -> None:
    began_s, used_s = time.monotonic(), time.process_time()
    assert main(["--samples", "--loop", "--count", "1500", "--rate", "1000"]) == 0
    assert time.process_time() - used_s < promised(0.6) * (time.monotonic() - began_s)


def test_lines_piped_through_kafkas_console_producer_arrive_as_messages(
    topic: str, bootstrap: str
) -> None:
    options = ["--samples", "--count", "4", "--key", "{n}:{truth}", "--headers"]
    producer = [sys.executable, "-m", "producer", *options]
    lines = subprocess.run([*producer, "--stdout"], cwd=ROOT, capture_output=True, check=True)
    printed = subprocess.run(
        [*producer, "--print-command"], cwd=ROOT, capture_output=True, check=True
    )
    command = shlex.split(printed.stdout.decode())
    subprocess.run([sys.executable, *command[1:]], cwd=ROOT, input=lines.stdout, check=True)
    samples = load_samples()
    found = sorted(read(bootstrap, topic, 4), key=lambda m: m.key() or b"")
    for number, message in enumerate(found):
        headers = dict(message.headers() or [])
        truth = bytes(headers["truth"] or b"")  # type: ignore[arg-type]
        assert message.key() == f"{number}:".encode() + truth
        assert headers["content-type"] == b"application/json"
        document = json.loads(message.value() or b"")
        assert document["data"]["ndarray"] == samples.images[number : number + 1].tolist()
