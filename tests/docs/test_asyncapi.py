"""The AsyncAPI document is sound, and agrees with the code."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from jsonschema import Draft7Validator
from seldon_core.proto import prediction_pb2

from model.labels import HIRAGANA, ROMAJI
from seldon_kafka.config.settings import load_settings
from seldon_kafka.errors import REASONS
from seldon_kafka.topics.wanted import wanted_topics
from tests.docs import asyncapi

DOCUMENT = asyncapi.load()
SCHEMAS = DOCUMENT["components"]["schemas"]
MESSAGES = DOCUMENT["components"]["messages"]


def test_the_document_is_what_the_specification_asks_for() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert asyncapi.structure_errors(DOCUMENT) == []


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ((), "chanels", {}),
        (("info",), "titel", "x"),
        (("servers", "brokers"), "protokol", "kafka"),
        (("channels", "modelInput"), "adress", "model_input"),
        (("operations", "sendImages"), "action", "publish"),
        (("components", "messages", "DeadLetter"), "header", {}),
    ],
)
def test_a_misspelt_document_is_found(path: tuple[str, ...], key: str, value: Any) -> None:
    wrong = copy.deepcopy(DOCUMENT)
    place: Any = wrong
    for step in path:
        place = place[step]
    place[key] = value
    assert asyncapi.structure_errors(wrong)


def test_every_reference_leads_somewhere() -> None:
    found = asyncapi.references(DOCUMENT)
    assert len(found) > 50
    for reference in found:
        assert reference.startswith("#/")
        assert asyncapi.resolved(DOCUMENT, {"$ref": reference})
    with pytest.raises(LookupError):
        asyncapi.resolved(DOCUMENT, {"$ref": "#/components/schemas/Nothing"})


def test_operations_name_all_messages_of_their_channel() -> None:
    for operation in DOCUMENT["operations"].values():
        reference = operation["channel"]["$ref"]
        channel = asyncapi.resolved(DOCUMENT, operation["channel"])
        named = [message["$ref"] for message in operation["messages"]]
        assert named == [f"{reference}/messages/{name}" for name in channel["messages"]]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_a_json_schema(name: str) -> None:
    Draft7Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_has_examples_that_are_what_it_says(name: str) -> None:
    message = MESSAGES[name]
    assert message["examples"]
    for each in message["examples"]:
        if "headers" in each:
            assert asyncapi.errors(DOCUMENT, message["headers"], each["headers"]) == []
        if "payload" in each:
            assert asyncapi.errors(DOCUMENT, message["payload"], each["payload"]) == []


def test_the_channels_are_the_topics_that_the_command_line_makes() -> None:
    settings = load_settings({"KAFKA_LOG_REQUESTS": "on"})
    wanted = {topic.name: topic for topic in wanted_topics(settings, brokers=3)}
    for channel in DOCUMENT["channels"].values():
        binding = channel["bindings"]["kafka"]
        topic = wanted.pop(channel["address"])
        assert binding["topic"] == topic.name
        assert (binding["partitions"], binding["replicas"]) == (topic.partitions, topic.replication)
        for key, value in binding["topicConfiguration"].items():
            assert topic.config[key] == str(value)
    assert not wanted


def test_names_labels_and_reasons_are_those_of_the_code() -> None:
    assert SCHEMAS["Names"]["const"] == list(ROMAJI)
    assert SCHEMAS["Label"]["enum"] == list(HIRAGANA)
    headers = SCHEMAS["DeadLetterHeaders"]["allOf"][1]["properties"]
    assert headers["kafka-dead-reason"]["examples"] == sorted(REASONS)


def test_the_protobuf_fields_have_the_numbers_that_seldon_gave_them() -> None:
    fields = asyncapi.proto_fields(MESSAGES["SeldonProtobufRequest"]["payload"]["schema"])
    assert len(fields) == 12
    for (message, field), number in fields.items():
        known = prediction_pb2.DESCRIPTOR.message_types_by_name[message].fields_by_name
        assert known[field].number == number
    wrong = asyncapi.proto_fields("message Tensor {\n  repeated int32 shape = 2;\n}")
    assert wrong == {("Tensor", "shape"): 2}
