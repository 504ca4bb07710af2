"""The README's examples run unchanged on a real broker."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from kafka.cluster.local import Cluster
from producer.bundled_samples import load_samples
from tests.support.patience import patient
from tests.support.stream import Stream
from wrapper import KmnistClassifier

NewStream = Callable[..., Stream]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def stream(new_stream: NewStream) -> Stream:
    stream = new_stream(partitions=2)
    stream.start("seldon_kafka", "worker", "wrapper.KmnistClassifier")
    return stream


def blocks() -> list[str]:
    """Returns the README's Python examples with Kafka: the producer, then the consumer."""
    text = (ROOT / "README.md").read_text("utf-8")
    return [block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "Kafka" in block or
            "confluent" in block]  # fmt: skip


def test_the_five_lines_that_send_and_the_five_that_read_work(stream: Stream) -> None:
    def run(block: str) -> str:
        for name, value in (
            ("localhost:9092", stream.environ["KAFKA_BROKER"]),
            ("model_input", stream.settings.input_topic),
            ("model_output", stream.settings.output_topic),
            ("my-app", stream.settings.group_id + "-app"),
        ):
            block = block.replace(name, value)
        said = io.StringIO()
        scope: dict[str, Any] = {}
        with redirect_stdout(said):
            exec(compile(block, "README.md", "exec"), scope)
        if "consumer" in scope:
            scope["consumer"].close()
        return said.getvalue()

    feed, read = blocks()
    run(feed)
    assert re.fullmatch(r"b'camera-1' \['[ぁ-ん]'\]\n", run(read))


def test_kafkas_own_console_tools_show_right_predictions(stream: Stream, cluster: Cluster) -> None:
    samples = load_samples()
    count = len(samples.images)
    tool = [sys.executable, "-m", "kafka.cluster", "--folder", str(cluster.folder)]
    sender = stream.start_piped("producer", "--samples", "--stdout")
    topic = stream.settings.input_topic
    assert sender.stdout is not None
    with sender.stdout:
        subprocess.run(
            [*tool, "console-producer", "--topic", topic],
            stdin=sender.stdout, cwd=ROOT, env=stream.whole_environ, timeout=patient(60),
            check=True,
        )  # fmt: skip
    assert sender.wait() == 0
    stream.replies(count)
    command = ["--topic", stream.settings.output_topic, "--from-beginning"]
    command += ["--max-messages", str(count), "--isolation-level", "read_committed"]
    read = subprocess.run(
        [*tool, "console-consumer", *command],
        cwd=ROOT, env=stream.whole_environ, timeout=patient(60), capture_output=True, check=True,
    )  # fmt: skip
    lines = read.stdout.decode("utf-8").splitlines()
    labels = [json.loads(line)["meta"]["tags"]["label"][0] for line in lines]
    expected = KmnistClassifier().predict(samples.images, []).tags["label"]
    assert Counter(labels) == Counter(expected)
