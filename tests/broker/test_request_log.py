"""The request log on a real broker: one entry of each input, and each entry in an index."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc

from kafka.cluster.local import Cluster
from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from seldon_kafka.codec.feedback import Feedback
from seldon_kafka.config.rights import ROLES
from seldon_kafka.config.settings import load_settings
from seldon_kafka.feedback.writer import FeedbackWriter
from seldon_kafka.messages import Record, header
from tests.broker.conftest import SASL_SSL
from tests.broker.test_supervisor import Replica, get, infer
from tests.support.patience import patient
from tests.support.ports import free_port
from tests.support.search_engine import FakeEngine
from tests.support.stream import Stream, numbers, source, wait_until

NewStream = Callable[..., Stream]
IMAGES = load_samples().images[:5]
PARTITIONS = 3


@pytest.fixture
def stream(new_stream: NewStream, new_topic: Callable[..., str]) -> Stream:
    new_topic("log", partitions=PARTITIONS)
    stream = new_stream(partitions=PARTITIONS)
    stream.environ["KAFKA_LOG_REQUESTS"] = "on"
    return stream


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with FakeEngine().serving() as serving:
        yield serving


def logged(stream: Stream, count: int, within_s: float = 40) -> list[Record]:
    return stream.read(stream.settings.log_topic, count, within_s)


def entry(record: Record) -> Any:
    return json.loads(record.value or b"")


def place(record: Record) -> tuple[int, int]:
    """Returns partition and offset of the input of an entry."""
    read = entry(record)["input"]
    return read["partition"], read["offset"]


def assert_one_of_each(stream: Stream, count: int) -> list[Record]:
    records = logged(stream, count, within_s=60)
    times = Counter(map(place, records))
    assert len(times) == count
    assert set(times.values()) == {1}
    return records


def content(found: Any, part: str) -> Any:
    """Returns a request or reply: parsed if it is JSON, else its bytes."""
    if found[f"{part}_encoding"] == "base64":
        return base64.b64decode(found[part])
    return found[part].encode() if found[f"{part}_encoding"] == "text" else found[part]


def test_each_input_of_any_format_is_logged_with_its_outcome(stream: Stream) -> None:
    for wire_format in FORMATS.values():
        values = [encode(wire_format, IMAGES[n : n + 1]) for n in range(len(IMAGES))]
        stream.send(values, headers=wire_format.headers())
    bad = [b"no JSON", None, b'{"data":{"ndarray":[[1]]},"meta":{"puid":"mine"}}', b"\xff"]
    stream.send(bad)
    stream.start("seldon_kafka", "worker", "wrapper.KmnistClassifier", KAFKA_WORKER_ID="k")
    count = len(FORMATS) * len(IMAGES) + len(bad)
    entries = {place(record): record for record in assert_one_of_each(stream, count)}
    asked = {(r.partition, r.offset): r for r in stream.read(stream.settings.input_topic, count)}
    replies = stream.replies(count - len(bad))
    letters = stream.letters(len(bad))
    for reply in replies:
        found = entry(entries[source(reply)])
        assert_is_of(found, "request", asked[source(reply)].value or b"")
        assert_is_of(found, "response", reply.value or b"")
        assert found["rejection"] is None
        if found["response_encoding"] == "json" and "meta" in found["response"]:
            assert found["response"]["meta"]["puid"] == found["puid"]
    for letter in letters:
        record = entries[letter.source[1:]]
        found = entry(record)
        assert found["rejection"]["reason"] == letter.reason
        assert found["response"] is None
        assert header(record.headers, "ce_type") == b"model.request.rejected"
    assert sum(entry(record)["puid"] == "mine" for record in entries.values()) == 1


def assert_is_of(found: Any, part: str, value: bytes) -> None:
    kept = content(found, part)
    assert kept == (value if isinstance(kept, bytes) else json.loads(value))


def test_an_entry_has_the_partition_of_its_feedback(
    stream: Stream, new_topic: Callable[..., str]
) -> None:
    new_topic("feedback", partitions=PARTITIONS)
    stream.send(numbers(20))
    stream.worker("Double")
    entries = {record.key: record for record in assert_one_of_each(stream, 20)}
    with FeedbackWriter(stream.settings) as writer:
        for key in entries:
            writer.send(Feedback((key or b"").decode(), ("x",)))
    for record in stream.read(stream.settings.feedback_topic, 20):
        assert entries[record.key].partition == record.partition


@pytest.mark.full
def test_repeated_kills_of_workers_lose_and_double_no_entry(stream: Stream) -> None:
    stream.worker("Double", "steady")
    victim = stream.worker("Double", "victim")
    wait_until(lambda: len(stream.readers()) == 2, 30, "both workers read")
    total = 0
    for _ in range(2):
        stream.send([*numbers(1500), *[b"no JSON"] * 50])
        total += 1550
        wait_until(lambda: stream.lag() < 1500, 30, "some messages are answered")
        victim.kill()
        victim.wait()
        victim = stream.worker("Double", "victim")
    replies, letters = stream.replies(total - 100, within_s=60), stream.letters(100)
    kept = assert_one_of_each(stream, total)
    assert {place(record) for record in kept if not entry(record)["rejection"]} == {
        source(reply) for reply in replies
    }
    assert sum(bool(entry(record)["rejection"]) for record in kept) == len(letters) == 100


def test_at_least_once_logs_everything_too(stream: Stream) -> None:
    stream.send(numbers(200))
    stream.worker("Double", KAFKA_PROCESSING="at_least_once")
    assert_one_of_each(stream, 200)


def test_the_log_is_off_by_default(stream: Stream) -> None:
    stream.send(numbers(20))
    stream.worker("Double", KAFKA_LOG_REQUESTS="off")
    stream.replies(20)
    wait_until(lambda: stream.lag() == 0, 15, "everything is committed")
    assert logged(stream, 0) == []


def test_a_worker_waits_for_the_log_topic_and_does_not_create_it(
    new_stream: NewStream, new_topic: Callable[..., str]
) -> None:
    stream = new_stream()
    stream.send(numbers(10))
    stream.worker("Double", KAFKA_LOG_REQUESTS="on")
    line = f"topic {stream.settings.log_topic} does not exist; create it with"
    wait_until(lambda: line in stream.log(), 30, "the worker says so")
    assert stream.settings.log_topic not in stream.admin().list_topics(timeout=10).topics
    new_topic("log", partitions=PARTITIONS)
    assert_one_of_each(stream, 10)


def test_parts_above_the_topic_limit_are_left_out_even_after_it_was_lowered(
    stream: Stream,
) -> None:
    stream.worker("Double")
    stream.send(numbers(1))
    assert_one_of_each(stream, 1)
    log = ConfigResource(ResourceType.TOPIC, stream.settings.log_topic)
    log.add_incremental_config(
        ConfigEntry("max.message.bytes", "20000", incremental_operation=AlterConfigOpType.SET)
    )
    admin = stream.admin()
    for future in admin.incremental_alter_configs([log]).values():
        future.result()
    wide = [json.dumps({"data": {"ndarray": [[n] * 1000]}}).encode() for n in range(30)]
    wide[20] = json.dumps({"data": {"ndarray": [[7] * 9_000]}}).encode()
    stream.send(wide)
    assert len(stream.replies(31)) == 31
    encodings = Counter(
        entry(record)["request_encoding"] for record in assert_one_of_each(stream, 31)
    )
    assert encodings == {"json": 30, "omitted": 1}


def predict(port: int, document: Any) -> tuple[int, Any]:
    """Calls Seldon's server over REST."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict",
        data=json.dumps(document).encode(),
        headers={"Content-Type": "application/json", "Seldon-Puid": "beside"},
    )
    try:
        with urllib.request.urlopen(request, timeout=patient(30)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_requests_over_rest_and_grpc_are_logged_before_they_are_answered(stream: Stream) -> None:
    ports = {"PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(free_port())}
    replica = Replica(stream, "Double", KAFKA_SELDON_SERVER="on", **ports)
    replica.ready()

    asked = {"data": {"ndarray": [[1, 2]]}, "meta": {"puid": "p"}}
    status, reply = predict(replica.http_port, asked)
    assert (status, reply["data"]["ndarray"]) == (200, [[2, 4]])
    # The entry exists before the answer is sent.
    (first,) = map(entry, logged(stream, 1))
    assert (first["request"], first["response"]) == (asked, reply)
    assert (first["puid"], first["transport"], first["input"]) == ("p", "rest", None)
    assert predict(replica.http_port, {"data": {"ndarray": [[3]]}})[0] == 200
    assert infer(replica.port, "tests.support.classes.Double", [[1, 2]])[0] == 200
    assert predict(replica.http_port, {"data": {"ndarray": [["x"]]}})[0] == 500
    message = prediction_pb2.SeldonMessage(
        data=prediction_pb2.DefaultData(tensor=prediction_pb2.Tensor(shape=[1, 1], values=[4]))
    )
    grpc_port = ports["PREDICTIVE_UNIT_GRPC_SERVICE_PORT"]
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        stub = prediction_pb2_grpc.SeldonStub(channel)
        answer = stub.Predict(message, timeout=patient(20), wait_for_ready=True)
    assert list(answer.data.tensor.values) == [8]
    stream.send(numbers(3))
    stream.replies(3)
    entries = sorted(map(entry, logged(stream, 8)), key=lambda each: each["time"])
    assert [each["transport"] for each in entries] == ["rest"] * 4 + ["grpc"] + ["kafka"] * 3
    assert len({each["id"] for each in entries}) == 8
    _, beside, open_inference, failed, over_grpc, *_ = entries
    assert beside["puid"] == "beside"
    assert open_inference["response"]["data"]["ndarray"] == [[2, 4]]
    assert failed["rejection"]["failed"] is True
    assert content(over_grpc, "request") == message.SerializeToString()


def test_a_rest_request_that_cannot_be_logged_is_not_answered(new_stream: NewStream) -> None:
    replica = Replica(
        new_stream(), "Double", KAFKA_SELDON_SERVER="on", KAFKA_LOG_REQUESTS="on"
    )  # fmt: skip
    wait_until(lambda: get(replica.http_port, "/health/ping")[0] == 200, 40, "it answers")
    status, refusal = predict(replica.http_port, {"data": {"ndarray": [[1, 2]]}})
    assert status == 503
    assert refusal["status"]["reason"] == "request_not_logged"
    assert "does not exist; create it with" in refusal["status"]["info"]
    status, why = get(replica.port, "/ready")
    assert (status, "does not exist; create it with" in why) == (503, True)


def test_a_log_without_brokers_is_refused_at_the_start(new_stream: NewStream) -> None:
    stream = new_stream()
    stream.environ.update(KAFKA_LOG_REQUESTS="on", KAFKA_BROKER="")
    process = stream.start("seldon_kafka", "serve", "tests.support.classes.Double")
    assert process.wait(patient(20)) == 2
    assert "KAFKA_LOG_REQUESTS is on, and KAFKA_BROKER is not set" in stream.log()


def sink(stream: Stream, url: str, *options: str, **environ: str) -> subprocess.Popen[bytes]:
    group = ("--group", f"{stream.settings.group_id}-sink")
    return stream.start("seldon_kafka", "request-log", "--url", url, *group, *options, **environ)


@pytest.mark.full
def test_a_killed_sink_loses_no_entry_and_a_terminated_one_exits(
    stream: Stream, engine: FakeEngine
) -> None:
    stream.send([*numbers(900), *[b"no JSON"] * 60])
    stream.worker("Double")
    records = assert_one_of_each(stream, 960)
    index = stream.settings.log_topic.lower()
    stream.environ["KAFKA_SESSION_TIMEOUT_MS"] = "1500"
    for written in (50, 400):
        process = sink(stream, engine.url, "--batch", "20")
        wait_until(partial(has_documents, engine, index, written), 30, "some are there")
        process.kill()
        process.wait()
    process = sink(stream, engine.url, "--batch", "20")
    wait_until(lambda: len(engine.documents(index)) == 960, 60, "all are there")
    expected = {entry(record)["id"]: entry(record) for record in records}
    for found in engine.documents(index).values():
        assert found.pop("@timestamp") == found["time"]
        found.pop("tags", None)
        assert found == expected[found["id"]]
    wait_until(partial(has_no_lag, stream, f"{stream.settings.group_id}-sink"), 20, "committed")
    process.send_signal(signal.SIGINT)
    assert process.wait(patient(10)) == 0
    assert "documents written, 0 refused" in stream.log()
    assert "Traceback" not in stream.log()


def has_documents(engine: FakeEngine, index: str, least: int) -> bool:
    return len(engine.documents(index)) >= least


def has_no_lag(stream: Stream, group: str) -> bool:
    environ = {**stream.environ, "KAFKA_GROUP_ID": group}
    environ["KAFKA_INPUT_TOPIC"] = environ["KAFKA_LOG_TOPIC"]
    environ["KAFKA_LOG_REQUESTS"] = "off"
    # The marker of its transaction follows the last entry.
    return all(lag <= 1 for lag in Stream(environ, Path(), PARTITIONS).lags().values())


def test_a_sink_waits_for_its_search_engine_and_writes_feedback_too(
    stream: Stream, engine: FakeEngine, new_topic: Callable[..., str]
) -> None:
    new_topic("feedback", partitions=PARTITIONS)
    with FeedbackWriter(stream.settings) as writer:
        writer.send(Feedback("p", ("ki",), 0.5))
    stream.send(numbers(30))
    stream.worker("Double")
    assert_one_of_each(stream, 30)
    engine.troubles += [(503, {}), (429, {})]
    process = sink(stream, engine.url, "--feedback")
    wait_until(lambda: len(engine.documents(stream.settings.log_topic.lower())) == 30, 40, "all")
    ((_, said),) = wait_until(
        lambda: engine.documents(stream.settings.feedback_topic.lower()), 20, "feedback"
    ).items()
    assert (said["puid"], said["truth"], said["reward"]) == ("p", ["ki"], 0.5)
    assert "waiting for the search engine: " in stream.log()
    process.terminate()
    assert process.wait(patient(10)) == 0


def test_a_waiting_sink_can_be_terminated(stream: Stream) -> None:
    process = sink(stream, f"http://127.0.0.1:{free_port()}")
    wait_until(lambda: "does not answer: Connection refused" in stream.log(), 30, "it waits")
    process.send_signal(signal.SIGINT)
    assert process.wait(patient(10)) == 0
    assert "Traceback" not in stream.log()


def test_an_error_of_a_sink_is_one_line(stream: Stream, engine: FakeEngine) -> None:
    missing = sink(stream, engine.url, KAFKA_LOG_TOPIC="missing")
    assert missing.wait(patient(30)) == 1
    assert "error: topic missing does not exist; create it with" in stream.log()
    engine.authorization = "Basic ?"
    locked = sink(stream, engine.url, REQUEST_LOG_USERNAME="me", REQUEST_LOG_PASSWORD="hunter2")
    assert locked.wait(patient(30)) == 1
    assert "denies access (401)" in stream.log()
    assert "hunter2" not in stream.log()
    assert "Traceback" not in stream.log()


@SASL_SSL
def test_a_sink_works_with_the_rights_of_the_table_and_names_a_missing_one(
    sasl_ssl: Cluster,
    new_stream_on: NewStream,
    name: str,
    engine: FakeEngine,
) -> None:
    stream = new_stream_on(sasl_ssl, KAFKA_LOG_REQUESTS="on")
    stream.send(numbers(5))
    stream.worker("Double")
    logged(stream, 5)
    rights = ROLES["request-log"](load_settings(stream.environ))
    for number, missing in enumerate(rights):
        user = sasl_ssl.user(
            f"{name[-8:]}.{number}", [right for right in rights if right != missing]
        )
        command = ("seldon_kafka", "request-log", "--url", engine.url, "--feedback")
        process = stream.start(*command, **user)
        assert process.wait(patient(40)) == 1
        said = (stream.folder / f"{len(stream.processes) - 1}.log").read_text()
        assert f"error: not allowed: {missing}; grant it" in said
        assert "seldon-kafka acls request-log User:NAME" in said
    user = sasl_ssl.user(f"{name[-8:]}.all", rights)
    stream.start("seldon_kafka", "request-log", "--url", engine.url, "--feedback", **user)
    wait_until(lambda: len(engine.documents(stream.settings.log_topic.lower())) == 5, 40, "all")
