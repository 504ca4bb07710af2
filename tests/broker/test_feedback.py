"""Feedback on a real broker, from Seldon's server to a training set."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer
from google.protobuf import json_format
from numpy.typing import NDArray
from seldon_core.proto import prediction_pb2

from model.feedback import load_feedback
from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from seldon_kafka.codec.feedback import BadFeedback, Feedback, read
from seldon_kafka.config.settings import load_settings
from seldon_kafka.feedback.writer import FeedbackWriter
from seldon_kafka.transport.topic_writer import NotWritten
from tests.support.patience import patient, promised
from tests.support.stream import ROOT, Stream, wait_until
from tests.wrapper.conftest import Served, rest, serving
from tests.wrapper.test_feedback import send_over_grpc

IMAGES = load_samples().images
NOW_MS = 1_790_000_000_000


@pytest.fixture
def stream(new_stream: Callable[..., Stream], new_topic: Callable[..., str]) -> Stream:
    new_topic("feedback", partitions=3, retention_ms="-1")
    return new_stream()


@pytest.fixture
def writer(stream: Stream) -> Iterator[FeedbackWriter]:
    with FeedbackWriter(stream.settings) as opened:
        yield opened


def given(stream: Stream, count: int) -> list[Feedback]:
    return [read(record) for record in stream.read(stream.settings.feedback_topic, count)]


def test_feedback_is_on_the_topic_when_send_returns(stream: Stream, writer: FeedbackWriter) -> None:
    feedback = Feedback("p", ("ki",), 1.0, position=("in", 1, 7), given_ms=NOW_MS)
    writer.send(feedback)
    assert given(stream, 1) == [feedback]


def test_feedback_on_one_answer_stays_in_order_from_any_writer(
    stream: Stream, writer: FeedbackWriter
) -> None:
    with FeedbackWriter(stream.settings) as other:
        for number in range(10):
            (writer, other)[number % 2].send(Feedback("p", (str(number),)))
    assert [feedback.truth for feedback in given(stream, 10)] == [(str(n),) for n in range(10)]


def test_many_threads_share_one_connection(stream: Stream, writer: FeedbackWriter) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: writer.send(Feedback(f"p-{n}", ("ki",))), range(200)))
    assert {feedback.puid for feedback in given(stream, 200)} == {f"p-{n}" for n in range(200)}


def test_a_closed_writer_connects_again(stream: Stream, writer: FeedbackWriter) -> None:
    for _ in range(2):
        writer.send(Feedback("p", ("ki",)))
        writer.close()
    assert len(given(stream, 2)) == 2


def test_a_missing_topic_is_reported_soon_and_not_created(stream: Stream) -> None:
    environ = {**stream.environ, "KAFKA_FEEDBACK_TOPIC": "missing"}
    started = time.monotonic()
    with FeedbackWriter(load_settings(environ)) as writer, pytest.raises(NotWritten) as refusal:
        writer.send(Feedback("p", ("ki",)))
    assert "topic missing does not exist; create it with `seldon-kafka topics create`" in str(
        refusal.value
    )
    assert time.monotonic() - started < promised(8)
    assert "missing" not in stream.admin().list_topics(timeout=10).topics


def test_a_writer_waits_for_brokers_until_its_timeout() -> None:
    settings = load_settings({"KAFKA_BROKER": "127.0.0.1:1"})
    started = time.monotonic()
    with FeedbackWriter(settings, within_s=1) as writer:
        with pytest.raises(NotWritten, match="the brokers do not answer within 1 s"):
            writer.send(Feedback("p", ("ki",)))
        assert 0.9 < time.monotonic() - started < promised(5)


def test_too_large_feedback_is_refused_before_it_is_sent(stream: Stream) -> None:
    settings = load_settings({**stream.environ, "KAFKA_MAX_MESSAGE_BYTES": "1000"})
    with FeedbackWriter(settings) as writer, pytest.raises(BadFeedback, match="more than the 1000"):
        writer.send(Feedback("p", ("ki",), request={"strData": "x" * 1000}))


@pytest.fixture
def server(stream: Stream, tmp_path: Path) -> Iterator[Served]:
    """Seldon's server as in the image, without workers."""
    with serving("wrapper.KmnistClassifier", tmp_path / "server.log", **stream.environ) as served:
        yield served


def test_feedback_to_seldons_server_over_rest_and_grpc_reaches_the_topic(
    stream: Stream, server: Served
) -> None:
    request = {"data": {"ndarray": IMAGES[:2].tolist()}, "meta": {"puid": "p-1"}}
    status, response = rest(server, request)
    assert status == 200
    document = {"request": request, "response": response, "reward": 0.5}
    by_rest = {**document, "truth": {"data": {"ndarray": ["ki", None]}}}
    assert rest(server, by_rest, "/send-feedback") == (200, {"meta": {"puid": "p-1"}})
    by_grpc = {**document, "truth": {"data": {"tensor": {"shape": [2], "values": [1, 4]}}}}
    send_over_grpc(server, json_format.ParseDict(by_grpc, prediction_pb2.Feedback()))
    first, second = given(stream, 2)
    assert (first.puid, first.truth, first.reward) == ("p-1", ("ki", ""), 0.5)
    assert (second.puid, second.truth) == ("p-1", ("1", "4"))
    assert np.array_equal((first.request or {})["data"]["ndarray"], IMAGES[:2])
    assert (first.response or {})["meta"]["tags"]["label"] == response["meta"]["tags"]["label"]
    assert abs(first.given_ms / 1000 - time.time()) < 60
    assert rest(server, {"reward": 1}, "/send-feedback")[0] == 400


def corrections(
    stream: Stream, out: Path, *options: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "consumer.feedback", "--out", str(out), *options],
        cwd=ROOT,
        env={**stream.whole_environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def lines(output: str) -> list[str]:
    return [" ".join(line.split()) for line in output.splitlines()]


def loaded(path: Path) -> dict[int, NDArray[np.uint8]]:
    """Returns the images of a file by their label."""
    split = load_feedback(path).split
    return dict(zip(split.labels.tolist(), split.images, strict=True))


def test_corrections_become_a_training_set(
    stream: Stream, writer: FeedbackWriter, tmp_path: Path
) -> None:
    # Feedback names inputs by their positions; two have one image each, and one has three.
    stream.send([encode(FORMATS["png"], IMAGES[n : n + 1]) for n in range(6)])
    stream.send([encode(FORMATS["raw"], IMAGES[6:9])], partition=2,
                headers=FORMATS["raw"].headers())  # fmt: skip
    topic = stream.settings.input_topic

    def say(puid: str, *truth: str, **more: Any) -> None:
        writer.send(Feedback(puid, truth, **more))

    say("a", "o", position=(topic, 0, 0))
    say("a", "ki", position=(topic, 0, 0))  # the latest feedback counts
    say("b", "す", position=(topic, 1, 1))
    say("c", "", "4", "", position=(topic, 2, 2))
    own = {"data": {"ndarray": IMAGES[10:12].tolist()}}
    say("d", "wo", "ha", request=own)
    say("e", "zz", position=(topic, 0, 1))
    say("f", "ki", position=(topic, 0, 10**6))
    say("g", "ki", position=("another", 0, 0))
    say("h", "ki")
    say("i", reward=1.0)
    say("j", "ki", "ki", position=(topic, 0, 1))
    nonsense = Producer(stream.client({}))
    nonsense.produce(stream.settings.feedback_topic, b"<script>")
    assert nonsense.flush(20) == 0

    out = tmp_path / "corrections.npz"
    done = corrections(stream, out)
    assert done.returncode == 0, done.stderr
    said = lines(done.stdout)
    assert said[0] == f"{out}: 5 images"
    assert said[1:] == [
        *("お o 0", "き ki 1", "す su 1", "つ tsu 0", "な na 1"),
        *("は ha 1", "ま ma 0", "や ya 0", "れ re 0", "を wo 1"),
    ]
    assert sorted(lines(done.stderr)) == [
        "left out 1: the feedback has neither a request nor the position of its input",
        "left out 1: the feedback has no label",
        "left out 1: the input is in another topic",
        "left out 1: the input no longer exists in its topic",
        "left out 1: the label is not one of the ten characters",
        "left out 1: the message is not valid feedback",
        "left out 2: the numbers of labels and images differ",
    ]
    images = loaded(out)
    for label, wanted in {1: IMAGES[0], 2: IMAGES[4], 4: IMAGES[7], 9: IMAGES[10],
                          5: IMAGES[11]}.items():  # fmt: skip
        assert np.array_equal(images[label], wanted), label
    before = out.read_bytes()
    assert corrections(stream, out).returncode == 0
    assert out.read_bytes() == before
    assert list(tmp_path.glob("*.unfinished")) == []


def test_messages_far_from_each_other_are_fetched(
    stream: Stream, writer: FeedbackWriter, tmp_path: Path
) -> None:
    values = [encode(FORMATS["png"], IMAGES[n % 20 : n % 20 + 1]) for n in range(1200)]
    stream.send(values, partition=0)
    places = {0: 3, 1: 450, 2: 451, 3: 1199}
    for label, offset in places.items():
        writer.send(
            Feedback(str(label), (str(label),), position=(stream.settings.input_topic, 0, offset))
        )
    assert corrections(stream, tmp_path / "c.npz").returncode == 0
    images = loaded(tmp_path / "c.npz")
    for label, offset in places.items():
        assert np.array_equal(images[label], IMAGES[offset % 20])


def test_behind_transactions_the_end_is_found(stream: Stream, tmp_path: Path, name: str) -> None:
    request = {"data": {"ndarray": IMAGES[:1].tolist()}}
    for ends in ("commit_transaction", "abort_transaction"):
        producer = Producer(stream.client({"transactional.id": f"{name}-{ends}"}))
        producer.init_transactions(20)
        producer.begin_transaction()
        truth = {"strData": "ki" if ends == "commit_transaction" else "su"}
        document = {"request": request, "response": {"meta": {"puid": "p"}}, "truth": truth}
        producer.produce(stream.settings.feedback_topic, json.dumps(document), partition=1)
        producer.flush(20)
        getattr(producer, ends)(20)
    done = corrections(stream, tmp_path / "c.npz")
    assert done.returncode == 0, done.stderr
    assert list(loaded(tmp_path / "c.npz")) == [1]


def test_no_file_is_written_without_corrections(
    stream: Stream, writer: FeedbackWriter, tmp_path: Path
) -> None:
    writer.send(Feedback("p", ("ki",)))
    done = corrections(stream, tmp_path / "c.npz")
    assert done.returncode == 1
    assert "left out 1: the feedback has neither a request" in done.stderr
    assert "error: no correction in" in done.stderr
    assert list(tmp_path.glob("c.npz*")) == []


def test_an_error_is_one_line(stream: Stream, tmp_path: Path) -> None:
    folder = corrections(stream, tmp_path)
    assert (folder.returncode, folder.stderr.count("\n")) == (1, 1)
    assert "can't be written: it is a folder" in folder.stderr
    nowhere = corrections(stream, tmp_path / "none" / "c.npz")
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (1, 1)
    assert "can't be written: No such file" in nowhere.stderr
    missing = corrections(stream, tmp_path / "c.npz", KAFKA_FEEDBACK_TOPIC="missing")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert "topic missing does not exist; create it with" in missing.stderr
    wrong = corrections(stream, tmp_path / "c.npz", KAFKA_FEEDBAK_TOPIC="missing")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "did you mean KAFKA_FEEDBACK_TOPIC?" in wrong.stderr
    assert list(tmp_path.glob("c.npz*")) == []


def test_ctrl_c_leaves_nothing_behind(stream: Stream, tmp_path: Path) -> None:
    out, unfinished = tmp_path / "c.npz", tmp_path / "c.npz.unfinished"
    producer = Producer(stream.client({}))
    for _ in range(50_000):  # reading these takes longer than a signal
        producer.produce(stream.settings.feedback_topic, b'{"reward": 1}', b"p")
    assert producer.flush(30) == 0
    with subprocess.Popen(
        [sys.executable, "-m", "consumer.feedback", "--out", str(out)],
        cwd=ROOT,
        env=stream.whole_environ,
        stderr=subprocess.PIPE,
    ) as process:
        wait_until(unfinished.exists, 30, "it has begun")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=patient(20))
    assert (process.returncode, said) == (130, b"")
    assert list(tmp_path.glob("c.npz*")) == []
