"""Answers of the runtime and of Seldon, in one form that can be compared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from google.protobuf import struct_pb2
from seldon_core.proto import prediction_pb2

Form = Literal["json", "protobuf"]


@dataclass(frozen=True)
class Reply:
    """A reply that a reader gets.

    Attributes:
        form: how its bytes are read.
        document: the parsed JSON, or the message as `plain` gives it.
    """

    form: Form
    document: Any


@dataclass(frozen=True)
class Rejection:
    """A refusal: the runtime's rejection, Seldon's HTTP error or an exception over gRPC.

    Attributes:
        reason: the runtime's word, or `http` and the status, or the exception's type.
        message: the explanation.
        failed: whether the class is to blame, as opposed to the sender.
    """

    reason: str
    message: str
    failed: bool


@dataclass(frozen=True)
class Retry:
    """No answer yet: the runtime tries again later."""

    message: str


@dataclass(frozen=True)
class Crash:
    """An exception out of the runtime itself, which is never right."""

    message: str


Answer = Reply | Rejection | Retry | Crash


def json_reply(value: bytes) -> Reply:
    """Reads JSON as any client does; NaN and Infinity become floats."""
    return Reply("json", json.loads(value))


def protobuf_reply(message: Any) -> Reply:
    """Reads a `SeldonMessage`."""
    return Reply("protobuf", plain(message))


def parsed(value: bytes) -> Any:
    """The `SeldonMessage` in these bytes."""
    return prediction_pb2.SeldonMessage.FromString(value)


def plain(message: Any) -> dict[str, Any]:
    """A `SeldonMessage` as a dict that keeps NaN, bytes and kinds apart."""
    document: dict[str, Any] = {}
    if message.HasField("meta"):
        document["meta"] = _meta(message.meta)
    if message.HasField("status"):
        document["status"] = {field.name: value for field, value in message.status.ListFields()}
    kind = message.WhichOneof("data_oneof")
    if kind == "data":
        document["data"] = _data(message.data)
    elif kind == "jsonData":
        document["jsonData"] = _value(message.jsonData)
    elif kind == "customData":
        document["customData"] = {
            "type": message.customData.type_url,
            "value": message.customData.value,
        }
    elif kind is not None:
        document[kind] = getattr(message, kind)
    return document


def _meta(meta: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if meta.puid:
        found["puid"] = meta.puid
    if meta.tags:
        found["tags"] = {name: _value(tag) for name, tag in meta.tags.items()}
    if meta.metrics:
        found["metrics"] = [
            {"key": each.key, "type": each.type, "value": each.value, "tags": dict(each.tags)}
            for each in meta.metrics
        ]
    if meta.requestPath:
        found["requestPath"] = dict(meta.requestPath)
    return found


def _data(data: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"names": list(data.names)}
    kind = data.WhichOneof("data_oneof")
    if kind == "tensor":
        found["tensor"] = {"shape": list(data.tensor.shape), "values": list(data.tensor.values)}
    elif kind == "ndarray":
        found["ndarray"] = [_value(item) for item in data.ndarray.values]
    elif kind is not None:
        found[kind] = getattr(data, kind).SerializeToString()
    return found


def _value(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return {name: _value(item) for name, item in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_value(item) for item in value.list_value.values]
    return None if kind in (None, "null_value") else getattr(value, kind)
