"""This package's descriptors of Seldon's messages agree with seldon_core's."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from seldon_core.proto import prediction_pb2

from seldon_kafka.codec.seldon_messages import (
    DefaultData,
    SeldonMessage,
    any_for_user_model,
    for_user_model,
    is_any,
    is_seldon_message,
    own_copy,
)

DOCUMENT = {
    "meta": {
        "puid": "p",
        "tags": {"a": [1.5, "x", None, {"b": True}]},
        "routing": {"r": 3},
        "requestPath": {"node": "image:1"},
        "metrics": [{"key": "k", "type": "TIMER", "value": 2.5, "tags": {"t": "u"}}],
    },
    "status": {"code": 200, "info": "i", "reason": "r", "status": "FAILURE"},
    "data": {"names": ["n"], "tensor": {"shape": [1, 2], "values": [1.0, 2.0]}},
}


def described(descriptor: Any) -> dict[str, Any]:
    """Returns every nested message, with its fields by number."""
    found: dict[str, Any] = {}
    waiting = [descriptor]
    while waiting:
        message = waiting.pop()
        if message.full_name in found:
            continue
        found[message.full_name] = {
            number: _field(field) for number, field in message.fields_by_number.items()
        }
        waiting += [field.message_type for field in message.fields if field.message_type]
    return found


def _field(field: Any) -> tuple[Any, ...]:
    enum = field.enum_type and {value.name: value.number for value in field.enum_type.values}
    message = field.message_type and field.message_type.full_name
    one_of = field.containing_oneof and field.containing_oneof.name
    return field.name, field.type, field.label, enum, message, one_of


def test_every_field_is_the_one_of_seldon_core() -> None:
    ours = described(SeldonMessage.DESCRIPTOR)
    assert ours == described(prediction_pb2.SeldonMessage.DESCRIPTOR)
    assert "tensorflow.VariantTensorDataProto" in ours


@pytest.mark.parametrize(
    "document",
    [
        DOCUMENT,
        {"strData": "ひ"},
        {"binData": "AAEC"},
        {"jsonData": {"a": [1, {"b": None}]}},
        {"data": {"ndarray": [[1.0, "x"], [None, True]]}},
        {"data": {"tftensor": {"dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "2"}]}}}},
    ],
    ids=lambda document: next(reversed(document)),
)
def test_bytes_and_json_are_the_same_as_seldon_cores(document: Any) -> None:
    theirs = json_format.ParseDict(document, prediction_pb2.SeldonMessage())
    ours = json_format.ParseDict(document, SeldonMessage())
    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(
        deterministic=True
    )
    assert json_format.MessageToDict(ours) == json_format.MessageToDict(theirs)
    assert SeldonMessage.FromString(theirs.SerializeToString()) == ours


def test_a_raw_method_gets_seldon_cores_message_if_seldon_core_is_imported() -> None:
    ours = json_format.ParseDict(DOCUMENT, SeldonMessage())
    given = for_user_model(ours)
    assert isinstance(given, prediction_pb2.SeldonMessage)
    assert own_copy(given) == ours
    assert isinstance(own_copy(given), SeldonMessage)


def test_a_raw_method_gets_this_packages_message_without_seldon_core(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(__import__("sys").modules, "seldon_core.proto.prediction_pb2")
    ours = SeldonMessage(strData="x")
    assert for_user_model(ours) is ours


def test_messages_are_known_by_their_names() -> None:
    assert is_seldon_message(prediction_pb2.SeldonMessage())
    assert is_seldon_message(SeldonMessage())
    assert not is_seldon_message(DefaultData())
    assert not is_seldon_message({"strData": "x"})
    assert is_any(AnyMessage())
    assert is_any(SeldonMessage().customData)
    assert not is_any(None)


def test_a_class_gets_the_any_that_it_can_import() -> None:
    packed = AnyMessage()
    packed.Pack(prediction_pb2.Status(info="i"))
    message = SeldonMessage.FromString(
        prediction_pb2.SeldonMessage(customData=packed).SerializeToString()
    )
    found = any_for_user_model(message.customData)
    status = prediction_pb2.Status()
    assert isinstance(found, AnyMessage)
    assert found.Unpack(status)
    assert status.info == "i"
