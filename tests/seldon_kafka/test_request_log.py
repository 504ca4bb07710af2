"""Entries of the request log: CloudEvents with the original request and reply."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from seldon_kafka.codec.json_text import is_strict_json
from seldon_kafka.codec.seldon_proto import parse
from seldon_kafka.config.settings import load_settings
from seldon_kafka.messages import Outcome, Record, Rejection, Reply, header
from seldon_kafka.pipeline.pipeline import Pipeline
from seldon_kafka.pipeline.user_model import UserModel
from seldon_kafka.transport.log_entry import Author, OutcomeLog, author_of
from seldon_kafka.transport.output_messages import OutputMessage, TopicLimits, compose, size_of
from tests.support.classes import Double
from tests.support.records import record
from wrapper import KmnistClassifier

SETTINGS = load_settings({"KAFKA_BROKER": "unused:1", "KAFKA_LOG_REQUESTS": "on"})
LIMIT = 2**20
TOPIC = TopicLimits("model_log", 12, 2**22)
IMAGES = load_samples().images[:2]


def logged(outcomes: Sequence[Outcome], target: TopicLimits = TOPIC) -> list[OutputMessage]:
    return OutcomeLog(SETTINGS, target, "host.0").compose(outcomes)


def entries(outcomes: Sequence[Outcome], target: TopicLimits = TOPIC) -> list[Any]:
    return [json.loads(message.value or b"") for message in logged(outcomes, target)]


def content(entry: Any, part: str) -> bytes | None:
    """Returns the bytes of a request or reply; JSON is written again."""
    encoding, value = entry[f"{part}_encoding"], entry[part]
    if encoding == "text":
        return str(value).encode()
    if encoding == "base64":
        return base64.b64decode(value, validate=True)
    return json.dumps(value).encode() if encoding == "json" else None


@pytest.fixture(scope="module")
def kmnist() -> Pipeline:
    return Pipeline(UserModel(KmnistClassifier()), LIMIT)


def test_an_entry_is_a_cloud_event_of_request_and_reply(kmnist: Pipeline) -> None:
    asked = {"data": {"ndarray": IMAGES[:1].tolist()}, "meta": {"puid": "p-ü"}}
    source = record(json.dumps(asked).encode(), offset=41, key=b"camera-1")
    (reply,) = kmnist.run([source]).outcomes
    (message,) = logged([reply])
    assert (message.topic, message.partition, message.key) == ("model_log", -1, "p-ü".encode())
    entry = json.loads(message.value or b"")
    assert isinstance(reply, Reply)
    assert entry.pop("request") == asked
    assert entry.pop("response") == json.loads(reply.value)
    headers = dict(message.headers)
    now = datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00"))
    assert abs(now.timestamp() * 1000 - message.timestamp_ms) < 1
    assert entry == {
        "id": entry["id"],
        "time": entry["time"],
        "puid": "p-ü",
        "transport": "kafka",
        "worker": "host.0",
        "input": {
            "topic": "model_input",
            "partition": 3,
            "offset": 41,
            "timestamp": 1_700_000_000_000,
            "key": "camera-1",
        },
        "request_encoding": "json",
        "request_content_type": "application/json",
        "request_bytes": len(source.value or b""),
        "response_encoding": "json",
        "response_content_type": "application/json",
        "response_bytes": len(reply.value),
        "rejection": None,
    }
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": entry["id"].encode(),
        "ce_source": b"/model-workers/model_input",
        "ce_type": b"model.request.answered",
        "ce_time": entry["time"].encode(),
        "ce_subject": b"model_input/3/41",
        "ce_requestid": "p-ü".encode(),
        "content-type": b"application/json",
    }


def test_an_event_has_the_names_of_the_seldon_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELDON_DEPLOYMENT_ID", "kmnist")
    monkeypatch.setenv("PREDICTOR_ID", "default")
    monkeypatch.setenv("PREDICTIVE_UNIT_ID", "classifier")
    (message,) = logged([Rejection(record(b"x"), "not_json", "no")])
    headers = dict(message.headers)
    assert headers["ce_inferenceservicename"] == b"kmnist"
    assert headers["ce_endpoint"] == b"default"
    assert headers["ce_modelid"] == b"classifier"
    assert "ce_namespace" not in headers


def test_a_source_is_a_uri_reference_whatever_the_groups_name() -> None:
    assert author_of("grüppe/1", "in", "w", {}) == Author("/gr%C3%BCppe%2F1/in", "w", ())


@pytest.mark.parametrize("name", FORMATS)
def test_every_wire_format_is_stored_completely(name: str, kmnist: Pipeline) -> None:
    wire_format = FORMATS[name]
    source = record(encode(wire_format, IMAGES[:1]), headers=wire_format.headers())
    # From the third message of a layout on, it is decoded by its layout.
    outcomes = kmnist.run([source]).outcomes + kmnist.run([source] * 3).outcomes
    for outcome, entry in zip(outcomes, entries(outcomes), strict=True):
        assert isinstance(outcome, Reply)
        assert entry["request_content_type"] == wire_format.content_type
        if wire_format.is_text:
            assert entry["request"] == json.loads(source.value or b"")
        else:
            assert content(entry, "request") == source.value
        if name == "protobuf":
            assert content(entry, "response") == outcome.value
            assert parse(content(entry, "response") or b"").meta.puid == entry["puid"]
        else:
            assert entry["response"] == json.loads(outcome.value)
        assert entry["puid"] == entry["id"]


def test_the_type_of_bytes_is_detected_without_a_header(kmnist: Pipeline) -> None:
    source = record(encode(FORMATS["png"], IMAGES[:1]))
    (entry,) = entries(kmnist.run([source]).outcomes)
    assert (entry["request_content_type"], entry["rejection"]) == ("image/png", None)


@pytest.mark.parametrize(
    ("value", "encoding", "reason"),
    [
        (b"<no json>", "text", "not_json"),
        (b"\xff\xfe", "base64", "invalid_utf8"),
        (None, None, "tombstone"),
        (b"", "text", "empty"),
        (b'{"data":{"ndarray":[[1]]}}', "json", "bad_shape"),
        (b"x" * (LIMIT + 1), "text", "too_large"),
    ],
)
def test_a_rejected_message_is_logged_with_its_reason(
    value: bytes | None, encoding: str | None, reason: str, kmnist: Pipeline
) -> None:
    (message,) = logged(kmnist.run([record(value)]).outcomes)
    entry = json.loads(message.value or b"")
    assert entry["rejection"]["reason"] == reason
    assert entry["rejection"]["failed"] is False
    assert (entry["response"], entry["response_encoding"]) == (None, None)
    assert entry["request_encoding"] == encoding
    assert dict(message.headers)["ce_type"] == b"model.request.rejected"
    if encoding == "json":
        assert entry["request"] == json.loads(value or b"")
    else:
        assert content(entry, "request") == value


def test_a_rejection_has_the_puid_that_could_be_read(kmnist: Pipeline) -> None:
    asked = b'{"data":{"ndarray":[[1]]},"meta":{"puid":"mine"}}'
    (entry,) = entries(kmnist.run([record(asked)]).outcomes)
    assert (entry["puid"], entry["rejection"]["reason"]) == ("mine", "bad_shape")


def test_a_reply_that_is_too_large_for_its_topic_is_logged_as_a_rejection() -> None:
    asked = b'{"data":{"ndarray":[[1,2]]},"meta":{"puid":"mine"}}'
    (reply,) = Pipeline(UserModel(Double()), LIMIT).run([record(asked)]).outcomes
    outcome, _ = compose(reply, TopicLimits("out", 1, 100), TopicLimits("dead", 1, LIMIT), "host.0")
    (entry,) = entries([outcome])
    assert (entry["puid"], entry["rejection"]["reason"]) == ("mine", "reply_too_large")
    assert entry["request"] == json.loads(asked)


def test_a_puid_that_no_feedback_could_name_is_not_the_key() -> None:
    asked = {"data": {"ndarray": [[1, 2]]}, "meta": {"puid": "p" * 2000}}
    outcomes = Pipeline(UserModel(Double()), LIMIT).run([record(json.dumps(asked).encode())])
    (message,) = logged(outcomes.outcomes)
    entry = json.loads(message.value or b"")
    assert entry["puid"] == entry["id"] == (message.key or b"").decode()
    assert entry["request"] == asked


def test_entries_have_unique_ids_that_are_the_same_after_a_retry() -> None:
    sources = [record(b"x", offset, partition=part) for offset in range(3) for part in range(3)]
    outcomes = [Rejection(source, "not_json", "no") for source in sources]
    first, again = entries(outcomes), entries(outcomes)
    assert len({entry["id"] for entry in first}) == len(sources)
    assert [entry["id"] for entry in first] == [entry["id"] for entry in again]


@pytest.mark.parametrize("most", [2_000, 70_000, 100_000])
def test_parts_that_do_not_fit_are_left_out_and_marked(most: int) -> None:
    request = orjson.dumps({"data": {"ndarray": [[1] * 20_000]}})
    reply = Reply(record(request), b'{"a":"%b"}' % (b"b" * 30_000), JSON)
    (message,) = logged([reply], TOPIC._replace(max_bytes=most))
    assert size_of(message) <= most
    entry = json.loads(message.value or b"")
    assert entry["request_bytes"] == len(request)
    assert (entry["request_encoding"], entry["request"]) == (
        ("json", json.loads(request)) if most == 100_000 else ("omitted", None)
    )
    assert (entry["response_encoding"] == "omitted") == (most == 2_000)
    assert entry["response_bytes"] == len(reply.value)


JSON = [("content-type", b"application/json")]


def test_text_that_is_not_unicode_does_not_stop_a_worker() -> None:
    source = record(b"x", key=b"\xff\x00k")
    (entry,) = entries([Rejection(source, "bad_payload", "half a pair: \ud800")])
    assert entry["rejection"]["message"] == "half a pair: ?"
    assert entry["input"]["key"] == "\\xff\x00k"
    (long,) = entries([Rejection(record(b"x", key=b"k" * 2000), "bad_payload", "")])
    assert long["input"]["key"] is None


NAMES = st.sampled_from(["data", "ndarray", "tensor", "meta", "puid", "tags", "x", '"', "ü\n"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True)
    | st.text(max_size=8)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
ROWS = st.lists(st.lists(st.integers(0, 300), min_size=2, max_size=2), min_size=1, max_size=3)


@st.composite
def documents(draw: DrawFn) -> bytes:
    """Draws JSON text as senders write it, of requests and of invalid ones."""
    document: dict[str, Any] = draw(st.dictionaries(NAMES, VALUES, max_size=3))
    if draw(st.booleans()):
        document["data"] = {"ndarray": draw(ROWS)}
    if draw(st.booleans()):
        document["meta"] = {"puid": draw(st.text(max_size=8))}
    text = json.dumps(
        document,
        indent=draw(st.sampled_from([None, 0, 2])),
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([None, (",", ":"), (" ,\r\n", "\t: ")])),
    )
    if draw(st.booleans()):  # a repeated key: the last one counts
        text = '{"data" : 1,' + text[1:] if len(text) > 2 else text
    value = text.encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(value)))
        piece = draw(st.binary(max_size=1) | st.sampled_from([b'"', b"}", b"\\", b"0", b"NaN"]))
        value = value[:place] + piece + value[place + draw(st.integers(0, 1)) :]
    return value


@given(st.lists(documents(), min_size=1, max_size=4))
def test_every_entry_is_json_with_exactly_the_message_that_was_sent(values: list[bytes]) -> None:
    sources = [record(value, offset) for offset, value in enumerate(values)]
    outcomes = Pipeline(UserModel(Double()), LIMIT).run(sources).outcomes
    for outcome, message in zip(outcomes, logged(outcomes), strict=True):
        entry = orjson.loads(message.value or b"")
        assert_same(entry, outcome)
        if entry["request_encoding"] == "json":
            again = json.loads(message.value or b"")
            assert again["request"] == json.loads(outcome.record.value or b"")


def assert_same(entry: Any, outcome: Outcome) -> None:
    value = outcome.record.value or b""
    if entry["request_encoding"] == "json":
        assert entry["request"] == orjson.loads(value)
    else:
        assert content(entry, "request") == value
    if isinstance(outcome, Reply):
        # JSON that not every reader accepts is stored as text.
        assert entry["request_encoding"] == ("json" if is_strict_json(value) else "text")
        assert entry["response"] == orjson.loads(outcome.value)
        assert entry["puid"] in (outcome.sent_puid, entry["id"])


@pytest.mark.parametrize("text", [b'{"jsonData": [1]}', b'{"jsonData": [1], "meta": {"a": "NaN"}}'])
def test_an_entry_of_a_request_with_a_byte_order_mark_is_json(text: bytes) -> None:
    value = b"\xef\xbb\xbf" + text
    outcomes = Pipeline(UserModel(Double()), LIMIT).run([record(value)]).outcomes
    assert isinstance(outcomes[0], Reply)
    (entry,) = entries(outcomes)
    assert entry["request_encoding"] == "json"
    assert entry["request"] == json.loads(text)
    assert entry["request_bytes"] == len(value)


NUMBERS = st.sampled_from(["0", "7", "00", "07", "255", "256", "-0", "1e1", "1.0", "", " 3", "３"])


@given(st.lists(st.lists(NUMBERS, min_size=200, max_size=200), min_size=3, max_size=6))
def test_entries_of_messages_decoded_by_layout_are_json_too(rows: list[list[str]]) -> None:
    pipeline = Pipeline(UserModel(Double()), LIMIT)
    plain = [record(_request(["1"] * 200), offset) for offset in range(3)]
    for source in plain:
        pipeline.run([source])
    sources: list[Record] = [record(_request(row), offset) for offset, row in enumerate(rows)]
    outcomes = pipeline.run(plain + sources).outcomes
    for outcome, message in zip(outcomes, logged(outcomes), strict=True):
        assert_same(orjson.loads(message.value or b""), outcome)


def _request(numbers: list[str]) -> bytes:
    return ('{"data":{"ndarray":[[' + ",".join(numbers) + "]]}}").encode()


def test_every_message_of_a_batch_has_its_own_entry_in_order(kmnist: Pipeline) -> None:
    values = [encode(FORMATS["ndarray"], IMAGES[:1]), b"no JSON"] * 3
    outcomes = kmnist.run([record(value, offset) for offset, value in enumerate(values)]).outcomes
    for offset, message in enumerate(logged(outcomes)):
        assert message.record is outcomes[offset].record
        assert header(message.headers, "ce_subject") == b"model_input/3/%d" % offset
