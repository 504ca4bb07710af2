"""Real messages are what the AsyncAPI document says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from seldon_core.proto import prediction_pb2

from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from seldon_kafka.codec.feedback import BadFeedback, Feedback, read
from seldon_kafka.codec.feedback import compose as compose_feedback
from seldon_kafka.config.settings import load_settings
from seldon_kafka.dead_letters.letters import REPLAYED, replay_headers
from seldon_kafka.messages import Headers, Outcome, Record, Rejection
from seldon_kafka.pipeline.load_class import load_class
from seldon_kafka.pipeline.pipeline import Pipeline
from seldon_kafka.transport.log_entry import OutcomeLog
from seldon_kafka.transport.output_messages import OutputMessage, TopicLimits, compose
from tests.docs import asyncapi
from tests.docs.asyncapi import Document

DOCUMENT = asyncapi.load()
MESSAGES = DOCUMENT["components"]["messages"]
IMAGES = load_samples().images[:4]
LIMIT = 2**23

# What each of the producer's formats is called in the document, and what answers it.
REQUEST_OF = {
    "ndarray": ("seldonJson", "seldonJson"),
    "tensor": ("seldonJson", "seldonJson"),
    "bindata": ("seldonJson", "seldonJson"),
    "v2": ("openInferenceJson", "openInferenceJson"),
    "tfserving": ("tensorflowServingJson", "tensorflowServingJson"),
    "protobuf": ("seldonProtobuf", "seldonProtobuf"),
    "png": ("picture", "seldonJson"),
    "jpeg": ("picture", "seldonJson"),
    "raw": ("rawPixels", "seldonJson"),
}


# They differ from run to run and from model to model.
NAMES = ("puid", "id", "model")


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(load_class("wrapper.KmnistClassifier"), LIMIT)


def published(pipeline: Pipeline, value: bytes | None, headers: Headers) -> OutputMessage:
    """What the runtime would publish for a message."""
    record = Record("model_input", 3, 41, 1_700_000_000_000, b"key", value, tuple(headers))
    (outcome,) = pipeline.run([record]).outcomes
    largest = TopicLimits("model_output", 12, LIMIT), TopicLimits("model_input.dead", 12, LIMIT)
    return compose(outcome, *largest, "kmnist-0.0")[1]


def example(message: str, name: str) -> Document:
    (found,) = [each for each in MESSAGES[message]["examples"] if each.get("name") == name]
    return dict(found)


@pytest.mark.parametrize("name", FORMATS)
def test_what_the_producer_sends_and_gets_is_in_the_document(pipeline: Pipeline, name: str) -> None:
    wire_format = FORMATS[name]
    request_kind, reply_kind = REQUEST_OF[name]
    for images in (IMAGES[:1], IMAGES) if wire_format.many else (IMAGES[:1],):
        value = encode(wire_format, images)
        headers = wire_format.headers(" ".join(["o"] * len(images)))
        assert request_kind in asyncapi.kinds(DOCUMENT, "modelInput", headers, value)
        message = published(pipeline, value, headers)
        assert message.topic == "model_output"
        kinds = asyncapi.kinds(DOCUMENT, "modelOutput", message.headers, message.value)
        assert kinds == [reply_kind]


def entries(outcomes: list[Outcome]) -> list[OutputMessage]:
    """What the runtime would log of outcomes."""
    settings = load_settings({"KAFKA_LOG_REQUESTS": "on"})
    return OutcomeLog(settings, TopicLimits("model_log", 12, LIMIT), "kmnist-0.0").compose(outcomes)


@pytest.mark.parametrize("name", [*FORMATS, "no format"])
def test_what_is_logged_is_in_the_document(
    pipeline: Pipeline, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("SELDON_DEPLOYMENT_ID", "PREDICTOR_ID", "PREDICTIVE_UNIT_ID", "POD_NAMESPACE"):
        monkeypatch.setenv(variable, "kmnist")
    value, headers = b"nothing of the kind", []
    if name in FORMATS:
        value, headers = encode(FORMATS[name], IMAGES[:1]), FORMATS[name].headers()
    record = Record("model_input", 3, 41, 1_700_000_000_000, b"key", value, tuple(headers))
    (message,) = entries(pipeline.run([record]).outcomes)
    assert asyncapi.kinds(DOCUMENT, "modelLog", message.headers, message.value) == ["entry"]
    described = DOCUMENT["components"]["schemas"]
    assert described["LogEntryHeaders"]["properties"].keys() == dict(message.headers).keys()
    assert described["LogEntry"]["required"] == [*json.loads(message.value or b"")]


def test_an_entry_that_is_too_large_for_its_topic_is_in_the_document(pipeline: Pipeline) -> None:
    record = Record("model_input", 3, 41, -1, None, b"x" * LIMIT, ())
    (message,) = entries(pipeline.run([record]).outcomes)
    assert asyncapi.kinds(DOCUMENT, "modelLog", message.headers, message.value) == ["entry"]
    assert json.loads(message.value or b"")["request_encoding"] == "omitted"


@pytest.mark.parametrize("name", ["ndarray", "tensor", "bindata", "v2", "tfserving"])
def test_json_needs_no_headers(pipeline: Pipeline, name: str) -> None:
    value = encode(FORMATS[name], IMAGES)
    assert asyncapi.kinds(DOCUMENT, "modelInput", (), value) == [REQUEST_OF[name][0]]
    assert published(pipeline, value, ()).topic == "model_output"


@pytest.mark.parametrize(
    ("shape", "divisor"),
    [((28, 28), 1), ((4, 28, 28), 1), ((4, 28, 28, 1), 255), ((784,), 255), ((4, 784), 1)],
)
def test_every_shape_of_the_document_is_answered(
    pipeline: Pipeline, shape: tuple[int, ...], divisor: int
) -> None:
    pixels = (IMAGES[:1] if shape[0] != 4 else IMAGES).reshape(shape)
    for request in (
        {"data": {"ndarray": (pixels / divisor).tolist()}},
        {"jsonData": (pixels / divisor).tolist()},
        {"instances": (pixels / divisor).tolist()},
    ):
        value = json.dumps(request).encode()
        assert len(asyncapi.kinds(DOCUMENT, "modelInput", (), value)) == 1
        assert published(pipeline, value, ()).topic == "model_output"


@pytest.mark.parametrize(
    ("request_message", "request_example", "reply_message", "reply_example"),
    [
        ("SeldonJsonRequest", "ndarray", "SeldonJsonReply", "ndarray"),
        ("SeldonJsonRequest", "tensor", "SeldonJsonReply", "tensor"),
        ("SeldonJsonRequest", "bindata", "SeldonJsonReply", "tensor"),
        ("OpenInferenceRequest", "nested", "OpenInferenceReply", "nested"),
        ("TensorflowServingRequest", "instances", "TensorflowServingReply", "instances"),
        ("TensorflowServingRequest", "b64", "TensorflowServingReply", "instances"),
    ],
)
def test_an_example_is_answered_as_the_document_shows(
    pipeline: Pipeline,
    request_message: str,
    request_example: str,
    reply_message: str,
    reply_example: str,
) -> None:
    asked = example(request_message, request_example)["payload"]
    shown = example(reply_message, reply_example)["payload"]
    answer = json.loads(published(pipeline, json.dumps(asked).encode(), ()).value or b"")
    assert like(answer, shown)


def like(answer: Any, shown: Any) -> bool:
    """The same form, and the same values but for what a newer model would change.

    The document need not be written anew for each model: probabilities may move by a tenth.
    """
    if isinstance(shown, dict):
        return answer.keys() == shown.keys() and all(
            isinstance(answer[key], str) if key in NAMES else like(answer[key], shown[key])
            for key in shown
        )
    if isinstance(shown, list):
        return len(answer) == len(shown) and all(map(like, answer, shown))
    if isinstance(shown, float):
        return bool(abs(answer - shown) < 0.1)
    return bool(answer == shown)


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        (None, (), "tombstone"),
        (b"", (), "empty"),
        (b"not json", (), "not_json"),
        (b"\xff\xfe", (("content-type", b"application/json"), ("truth", b"o")), "invalid_utf8"),
        (json.dumps({"data": {"ndarray": [[0] * 756]}}).encode(), (), "bad_shape"),
        (json.dumps({"data": {"ndarray": [[256] * 784]}}).encode(), (), "bad_value"),
        (b"0" * 783, (("content-type", b"application/octet-stream"),), "bad_shape"),
        (b"\x89PNG\r\n\x1a\n", (("content-type", b"image/png"),), "bad_image"),
        (b"x", (("content-type", b"video/mp4"),), "unknown_content_type"),
        (b"x", (("proto-name", b"seldon.protos.SeldonMessage"),), "not_protobuf"),
    ],
)
def test_what_cannot_be_answered_becomes_a_dead_letter_of_the_document(
    pipeline: Pipeline, value: bytes | None, headers: Headers, reason: str
) -> None:
    letter = published(pipeline, value, headers)
    assert letter.topic == "model_input.dead"
    found = asyncapi.headers_object(letter.headers)
    assert found["kafka-dead-reason"] == reason
    message = asyncapi.messages(DOCUMENT, "deadLetters")["deadLetter"]
    assert asyncapi.message_errors(DOCUMENT, message, letter.headers, letter.value) == []


def test_a_letter_that_was_cut_is_in_the_document_too() -> None:
    record = Record("model_input", 0, 7, -1, None, b"x" * 5000, ())
    target = TopicLimits("model_input.dead", 1, 2000)
    _, letter = compose(Rejection(record, "too_large", "too large"), target, target, "w.0")
    assert "kafka-dead-cut" in dict(letter.headers)
    message = asyncapi.messages(DOCUMENT, "deadLetters")["deadLetter"]
    assert asyncapi.message_errors(DOCUMENT, message, letter.headers, letter.value) == []


def test_what_becomes_of_a_replayed_message_is_in_the_document(pipeline: Pipeline) -> None:
    headers = [("truth", b"o"), *replay_headers(2, -1)]
    added = {"kafka-dead-attempts", "kafka-input-timestamp"}
    assert {name for name, _ in replay_headers(2, -1)} == added
    assert added <= DOCUMENT["components"]["schemas"]["Origin"]["properties"].keys()
    reply = published(pipeline, encode(FORMATS["ndarray"], IMAGES[:1]), headers)
    kinds = asyncapi.kinds(DOCUMENT, "modelOutput", reply.headers, reply.value)
    assert kinds == ["seldonJson"]
    assert asyncapi.headers_object(reply.headers)["kafka-dead-attempts"] == "2"
    letter = published(pipeline, b"not json", headers)
    message = asyncapi.messages(DOCUMENT, "deadLetters")["deadLetter"]
    assert asyncapi.message_errors(DOCUMENT, message, letter.headers, letter.value) == []


def test_the_marker_of_a_replay_is_no_dead_letter() -> None:
    kinds = asyncapi.kinds(DOCUMENT, "deadLetters", [(REPLAYED, b"3:17")], None)
    assert kinds == ["replayMarker"]


@pytest.mark.parametrize(
    "request_value",
    [
        {"data": {"ndarray": [[0] * 756]}},
        {"data": {"ndarray": [[256] * 784]}},
        {"data": {"ndarray": [["0"] * 784]}},
        {"data": {}},
        {"binData": "not base64!"},
        {"instances": [[0] * 27] * 28},
        {"inputs": []},
        {},
    ],
)
def test_neither_the_document_nor_the_runtime_takes_a_bad_request(
    pipeline: Pipeline, request_value: Document
) -> None:
    value = json.dumps(request_value).encode()
    assert asyncapi.kinds(DOCUMENT, "modelInput", (), value) == []
    assert published(pipeline, value, ()).topic == "model_input.dead"


FEEDBACK = [
    Feedback("5f1d3c9a", ("tsu",), 1.0, position=("model_input", 3, 41)),
    Feedback("5f1d3c9a", ("tsu", ""), request={"binData": "AAAA"}, response={"data": {}}),
    Feedback("5f1d3c9a", reward=-0.5),
]


@pytest.mark.parametrize("feedback", FEEDBACK)
def test_feedback_that_is_written_is_in_the_document(feedback: Feedback) -> None:
    _, value, headers = compose_feedback(feedback)
    assert asyncapi.kinds(DOCUMENT, "modelFeedback", headers, value) == ["feedback"]


@pytest.mark.parametrize("name", ["place", "request"])
def test_the_feedback_of_the_document_is_read(name: str) -> None:
    shown = example("Feedback", name)
    headers = [(key, value.encode()) for key, value in shown["headers"].items()]
    value = json.dumps(shown["payload"]).encode()
    found = read(Record("model_feedback", 0, 0, 17, b"5f1d3c9a", value, headers))
    assert (found.puid, found.truth, found.reward) == ("5f1d3c9a", ("tsu",), 1.0)
    assert found.position == (("model_input", 3, 41) if name == "place" else None)
    assert found.request == shown["payload"].get("request")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"reward": "1"},
        {"response": {"meta": {"puid": 7}}},
        {"response": {"meta": {"puid": "p"}}, "truth": {"binData": "AAAA"}},
        {"response": {"meta": {"puid": "p"}}, "truth": {"data": {"ndarray": [True]}}},
    ],
)
def test_neither_the_document_nor_the_code_takes_bad_feedback(document: Document) -> None:
    value = json.dumps(document).encode()
    assert asyncapi.kinds(DOCUMENT, "modelFeedback", (), value) == []
    with pytest.raises(BadFeedback):
        read(Record("model_feedback", 0, 0, 17, b"p", value, ()))


def _without(name: str) -> Any:
    return lambda reply, headers: (reply, [each for each in headers if each[0] != name])


def _changed(*path: Any, to: Any) -> Any:
    def change(reply: Any, headers: Any) -> tuple[Any, Any]:
        place = reply
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to
        return reply, headers

    return change


@pytest.mark.parametrize(
    "spoil",
    [
        _without("content-type"),
        _without("kafka-input-offset"),
        _changed("data", "names", 0, to="a"),
        _changed("data", "ndarray", 0, 0, to=1.5),
        _changed("data", "ndarray", 0, to=[0.5, 0.5]),
        _changed("meta", "tags", "label", to=["?"]),
        _changed("extra", to=1),
    ],
)
def test_a_reply_that_differs_from_the_document_is_found(pipeline: Pipeline, spoil: Any) -> None:
    message = published(pipeline, encode(FORMATS["ndarray"], IMAGES), ())
    reply, headers = spoil(json.loads(message.value or b""), message.headers)
    assert asyncapi.kinds(DOCUMENT, "modelOutput", headers, json.dumps(reply).encode()) == []


def test_a_protobuf_reply_that_differs_from_the_document_is_found(pipeline: Pipeline) -> None:
    wire_format = FORMATS["protobuf"]
    sent = published(pipeline, encode(wire_format, IMAGES), wire_format.headers())
    reply = prediction_pb2.SeldonMessage.FromString(sent.value)
    reply.status.info = "not described"
    for value in (reply.SerializeToString(), b"", b"nothing of the kind"):
        assert asyncapi.kinds(DOCUMENT, "modelOutput", sent.headers, value) == []
