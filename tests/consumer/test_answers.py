"""Messages of the output topic and the dead-letter topic are read as answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_NOT_AVAILABLE
from seldon_core.proto import prediction_pb2

from consumer.answers import Answer, Label, read_answer, read_reply
from consumer.labels import HIRAGANA
from model import labels as model_labels

NAMES = list(HIRAGANA)
ROWS = [[0.1] * 7 + [0.8, 0.1, 0.1], [0.9] + [0.01] * 9]
VALUES = [value for row in ROWS for value in row]
EXPECTED = (Label("ya", 0.8, outlier=True), Label("o", 0.9, abstain=True))
TAGS: dict[str, list[Any]] = {
    "confidence": [0.8, 0.9],
    "abstain": [False, True],
    "outlier": [True, False],
}


@dataclass
class FakeMessage:
    """A fake of `confluent_kafka.Message`, which tests cannot construct."""

    content: bytes | None
    its_headers: list[tuple[str, bytes]] = field(default_factory=list)
    its_topic: str = "out"
    its_key: bytes | None = None
    its_timestamp: tuple[int, int] = (TIMESTAMP_CREATE_TIME, 1234)

    def value(self) -> bytes | None:
        return self.content

    def headers(self) -> list[tuple[str, bytes]]:
        return self.its_headers

    def topic(self) -> str:
        return self.its_topic

    def key(self) -> bytes | None:
        return self.its_key

    def timestamp(self) -> tuple[int, int]:
        return self.its_timestamp


def read(message: FakeMessage) -> Answer:
    answer = read_answer(message, "dead")  # type: ignore[arg-type]
    assert answer is not None
    return answer


def read_labels(value: bytes, proto_name: bytes | None = None) -> tuple[Label, ...]:
    """Returns the labels of a reply, without probabilities."""
    return tuple(replace(label, probabilities=()) for label in read_reply(value, proto_name)[1])


def seldon(data: dict[str, Any]) -> dict[str, Any]:
    tags = {"label": ["や", "お"], **TAGS}
    return {"data": {"names": NAMES, **data}, "meta": {"puid": "p", "tags": tags}}


def tensor() -> dict[str, Any]:
    return {"tensor": {"shape": [2, 10], "values": VALUES}}


def v2() -> dict[str, Any]:
    def output(name: str, datatype: str, data: list[Any]) -> dict[str, Any]:
        return {"name": name, "shape": [2], "datatype": datatype, "data": data}

    first = output("predict", "FP64", VALUES)
    first.update(shape=[2, 10], parameters={"names": ",".join(NAMES)})
    tags = [output(name, "FP64", values) for name, values in TAGS.items()]
    return {"id": "p", "outputs": [first, *tags]}


@pytest.mark.parametrize(
    "document", [seldon({"ndarray": ROWS}), seldon(tensor()), v2()], ids=["ndarray", "tensor", "v2"]
)
def test_labels_are_read_from_every_json_format(document: dict[str, Any]) -> None:
    assert read_labels(json.dumps(document).encode()) == EXPECTED


def test_ten_columns_of_tensorflow_serving_are_the_ten_characters() -> None:
    value = json.dumps({"predictions": ROWS}).encode()
    assert read_labels(value) == (Label("ya", 0.8), Label("o", 0.9))


def test_labels_are_read_from_protobuf() -> None:
    message = prediction_pb2.SeldonMessage()
    message.data.names.extend(NAMES)
    message.data.tensor.shape.extend([2, 10])
    message.data.tensor.values.extend(VALUES)
    for name, values in TAGS.items():
        message.meta.tags[name].list_value.extend(values)
    value = message.SerializeToString()
    assert read_labels(value, b"seldon.protos.SeldonMessage") == EXPECTED


def test_without_an_outlier_tag_no_label_is_an_outlier() -> None:
    document = seldon({"ndarray": ROWS})
    del document["meta"]["tags"]["outlier"]
    labels = read_labels(json.dumps(document).encode())
    assert [label.outlier for label in labels] == [False, False]


def test_classes_without_names_get_seldons_names() -> None:
    value = json.dumps({"data": {"ndarray": [[0.2, 0.8]]}}).encode()
    assert read_labels(value) == (Label("t:1", 0.8),)


def test_an_unknown_label_has_no_hiragana() -> None:
    assert Label("ya", 1.0).hiragana == "や"
    assert Label("t:1", 1.0).hiragana == ""


def test_the_characters_match_those_of_the_model() -> None:
    assert tuple(HIRAGANA.items()) == tuple(
        zip(model_labels.ROMAJI, model_labels.HIRAGANA, strict=True)
    )


def test_a_reply_names_its_input_worker_and_truth() -> None:
    answer = read(
        FakeMessage(
            json.dumps(seldon({"ndarray": ROWS})).encode(),
            [
                ("truth", b"ya o"),
                ("kafka-worker", b"w.0"),
                ("kafka-input-topic", b"in"),
                ("kafka-input-partition", b"3"),
                ("kafka-input-offset", b"42"),
            ],
            its_key="鍵".encode(),
        )
    )
    plain = replace(answer, labels=tuple(replace(each, probabilities=()) for each in answer.labels))
    assert plain == Answer(("in", 3, 42), "鍵", "w.0", 1234, ("ya", "o"), EXPECTED, puid="p")
    assert not answer.dead


def test_a_dead_letter_has_a_reason_and_a_message() -> None:
    answer = read(
        FakeMessage(
            b"\xff",
            [("kafka-dead-reason", b"bad_shape"), ("kafka-dead-message", b"expected 784")],
            its_topic="dead",
        )
    )
    assert answer.dead
    assert (answer.reason, answer.message) == ("bad_shape", "expected 784")
    assert answer.labels == ()


def test_a_reply_names_its_model_and_object() -> None:
    document = seldon({"ndarray": ROWS})
    document["meta"]["tags"]["model"] = "kmnist-fast"
    answer = read(FakeMessage(json.dumps(document).encode(), [("object", "deep/ひ.png".encode())]))
    assert (answer.model, answer.object) == ("kmnist-fast", "deep/ひ.png")


@pytest.mark.parametrize("topic", ["dead", "out"])
def test_the_senders_reason_precedes_the_workers_reason(topic: str) -> None:
    headers = [("object-unreadable", b"it is a text"), ("kafka-dead-reason", b"empty")]
    answer = read(FakeMessage(json.dumps(seldon({"ndarray": ROWS})).encode(), headers, topic))
    assert (answer.reason, answer.message) == ("unreadable_object", "it is a text")
    assert answer.labels == ()


def test_a_replay_mark_is_no_answer() -> None:
    mark = FakeMessage(None, [("kafka-dead-replayed", b"3:17")], its_topic="dead")
    assert read_answer(mark, "dead") is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"no json",
        b"[]",
        b"3",
        b'{"data":{}}',
        b'{"strData":"x"}',
        b"\xff",
        b'{"data":{"ndarray":[[1]]},"meta":[]}',
        b'{"outputs":[3]}',
        b'{"data":{"ndarray":[[]]}}',
    ],
)
def test_an_unreadable_reply_has_no_labels_and_an_error_message(value: bytes | None) -> None:
    answer = read(FakeMessage(value, its_timestamp=(TIMESTAMP_NOT_AVAILABLE, 0)))
    assert answer.labels == ()
    assert "cannot be read" in answer.message
    assert answer.input_position is None
    assert answer.timestamp_ms is None


@pytest.mark.parametrize("document", [seldon(tensor()), v2()], ids=["seldon", "v2"])
def test_a_reply_is_read_with_its_id_and_all_probabilities(document: dict[str, Any]) -> None:
    reply = read_reply(json.dumps(document).encode())
    assert reply.puid == "p"
    assert [dict(label.probabilities) for label in reply.labels] == [
        dict(zip(NAMES, row, strict=True)) for row in ROWS
    ]
