"""Seldon protobuf: decodes and encodes `seldon.protos.SeldonMessage`."""

from __future__ import annotations

import math
from typing import List

import numpy as np
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from seldon_kafka.codec import tf_tensor
from seldon_kafka.codec.json_text import array_of
from seldon_kafka.codec.limits import check_array_of_texts, check_fields, ends_early
from seldon_kafka.codec.plain import check_unmasked
from seldon_kafka.codec.seldon_json import composed_meta, reshaped
from seldon_kafka.codec.seldon_messages import (
    NAME,
    ListValue,
    ProtoMessage,
    SeldonMessage,
    any_for_user_model,
    is_any,
)
from seldon_kafka.codec.wire_format import WireFormat
from seldon_kafka.errors import Rejected
from seldon_kafka.messages import Json, JsonObject, Payload, Prediction

_HEADERS = (("content-type", b"application/x-protobuf"), ("proto-name", NAME.encode("ascii")))


def check_name(proto_name: bytes) -> None:
    """Refuses messages other than `SeldonMessage`.

    Raises:
        Rejected: `proto_name` names another message.
    """
    if proto_name != NAME.encode("ascii"):
        found = proto_name[:80].decode("utf-8", "replace")
        raise Rejected("unknown_proto_name", f"proto-name {found!r} is not {NAME}")


def parse(value: bytes) -> ProtoMessage:
    """Parses a `SeldonMessage`.

    Raises:
        Rejected: the bytes are not a `SeldonMessage`, are nested too deeply, or have too many
            fields.
    """
    check_fields(value, SeldonMessage.DESCRIPTOR)
    if ends_early(value):
        # protobuf's C++ parser (Python 3.8 to 3.10) only warns of remaining bytes, and a user model
        # may filter warnings.
        raise Rejected("not_protobuf", f"the value is a {NAME} only at its start")
    try:
        return SeldonMessage.FromString(value)
    except UnicodeDecodeError as error:
        raise _no_text(error) from None
    except DecodeError as error:
        raise Rejected("not_protobuf", f"the value is not a {NAME}: {error}") from None
    except RecursionError:
        raise _too_deep() from None


def decode(value: bytes) -> Payload:
    """Decodes the payload of a `SeldonMessage`.

    Raises:
        Rejected: the bytes are not a `SeldonMessage` with data that can be decoded.
    """
    return payload_of(parse(value))


def payload_of(message: ProtoMessage) -> Payload:
    """Returns the payload of a parsed `SeldonMessage`.

    Raises:
        Rejected: the message has no data, or data that can't be decoded.
    """
    try:
        return _payload(message)
    except UnicodeDecodeError as error:
        # One of protobuf's parsers checks strings while parsing, another one at their first use.
        raise _no_text(error) from None
    except json_format.Error as error:
        raise Rejected(
            "bad_value", f"the {NAME} holds a value that JSON can't express: {error}"
        ) from None


def _payload(message: ProtoMessage) -> Payload:
    kind = message.WhichOneof("data_oneof")
    if kind is None:
        raise Rejected("no_payload", f"the {NAME} has none of data, binData, strData, jsonData")
    meta: JsonObject = _as_json(message.meta) if message.HasField("meta") else {}
    if kind == "data":
        return _decode_data(message, meta)
    data = getattr(message, kind)
    if kind == "jsonData":
        data = _as_json(data)
    elif kind == "customData":
        data = any_for_user_model(data)
    return Payload(kind, data, (), meta, message)


def _decode_data(message: ProtoMessage, meta: JsonObject) -> Payload:
    kind = message.data.WhichOneof("data_oneof")
    names = tuple(message.data.names)
    if kind == "tensor":
        values = np.array(message.data.tensor.values, dtype=np.float64)
        data = reshaped(values, list(message.data.tensor.shape), "data.tensor")
    elif kind == "ndarray":
        rows = _list_of(message.data.ndarray)
        check_array_of_texts(rows)
        data = array_of(rows, "data.ndarray")
    elif kind == "tftensor":
        data = tf_tensor.of_proto(message.data)
    else:
        # As in Seldon, `data` without an array means an empty array.
        data = np.array([])
    return Payload(kind or "ndarray", data, names, meta, message)


def _list_of(values: Json) -> List[Json]:
    """Converts a `ListValue` to nested lists, in which NaN stays a number.

    protobuf's own conversion to JSON would turn NaN into a string.

    Raises:
        Rejected: the `ListValue` is nested too deeply.
    """
    try:
        return [_value_of(value) for value in values.values]
    except RecursionError:
        raise _too_deep() from None


def _value_of(value: ProtoMessage) -> ProtoMessage:
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return [_value_of(item) for item in value.list_value.values]
    if kind == "struct_value":
        return {name: _value_of(item) for name, item in value.struct_value.fields.items()}
    return None if kind in (None, "null_value") else getattr(value, kind)


def _no_text(error: UnicodeDecodeError) -> Rejected:
    return Rejected("invalid_utf8", f"a text in the {NAME} is not UTF-8: {error}")


def not_finite(message: ProtoMessage) -> str:
    """Replaces NaN and infinity in a `SeldonMessage` by null, in fields that can be null.

    These fields are `jsonData`, `data.ndarray` and `meta.tags`. The numbers in `data.tensor` and
    `meta.metrics` are checked, and not replaced. `data.tftensor` is not checked.

    Returns:
        A text with the path and value of one non-finite number; empty if none was found.
    """
    values = np.array(message.data.tensor.values)
    bad = np.flatnonzero(~np.isfinite(values))
    found = [f"data.tensor.values[{index}] is {values[index]}" for index in bad[:1]]
    waiting = [(message.jsonData, "jsonData")]
    waiting += [(each, f"data.ndarray[{n}]") for n, each in enumerate(message.data.ndarray.values)]
    waiting += [(each, f"meta.tags.{name}") for name, each in message.meta.tags.items()]
    found += [
        f"meta.metrics[{index}] is {metric.value}"
        for index, metric in enumerate(message.meta.metrics)
        if not math.isfinite(metric.value)
    ]
    while waiting:
        value, path = waiting.pop()
        if value.HasField("list_value"):
            items = value.list_value.values
            waiting += [(item, f"{path}[{index}]") for index, item in enumerate(items)]
        elif value.HasField("struct_value"):
            fields = value.struct_value.fields
            waiting += [(item, f"{path}.{name}") for name, item in fields.items()]
        elif value.HasField("number_value") and not math.isfinite(value.number_value):
            found.append(f"{path} is {value.number_value}")
            value.null_value = 0
    return found[0] if found else ""


def _too_deep() -> Rejected:
    return Rejected("too_deep", f"the {NAME} is nested too deeply")


def _as_json(message: ProtoMessage) -> ProtoMessage:
    try:
        return json_format.MessageToDict(message)
    except RecursionError:
        raise _too_deep() from None


def encode(payload: Payload, prediction: Prediction, puid: str) -> bytes:
    """Encodes the reply as Seldon's gRPC server does."""
    if prediction.raw:
        message = prediction.data
        if not message.meta.puid:
            message.meta.puid = puid
        return bytes(message.SerializeToString())
    message = _body(payload.kind, prediction)
    meta = composed_meta(payload, prediction, puid)
    json_format.ParseDict(_json_values(meta), message.meta)
    return bytes(message.SerializeToString())


def _body(kind: str, prediction: Prediction) -> ProtoMessage:
    data = prediction.data
    if isinstance(data, str):
        return SeldonMessage(strData=data)
    if isinstance(data, (bytes, bytearray)):
        return SeldonMessage(binData=bytes(data))
    if isinstance(data, dict):
        message = SeldonMessage()
        json_format.ParseDict(_json_values(data), message.jsonData)
        return message
    if is_any(data):
        return SeldonMessage(customData={"type_url": data.type_url, "value": data.value})
    rows = data if isinstance(data, np.ndarray) else np.array(data)
    # As in seldon_core.utils.construct_response, numbers have the array form of the request. If the
    # request has no array, they become a tensor.
    form = kind if kind in ("ndarray", "tensor", "tftensor") else "tensor"
    if not np.issubdtype(rows.dtype, np.number):
        form = "ndarray"
    names = [str(name) for name in prediction.names or ()]
    if form != "ndarray":
        return _as_tensor(form, rows, names)
    if not rows.ndim:
        raise ValueError("an ndarray needs at least one dimension, and the answer has none")
    ndarray = ListValue()
    ndarray.extend(_json_values(rows))
    return SeldonMessage(data={"names": names, "ndarray": ndarray})


def _as_tensor(form: str, rows: Json, names: List[str]) -> ProtoMessage:
    if form == "tftensor":
        return SeldonMessage(data={"names": names, "tftensor": tf_tensor.to_proto(rows)})
    check_unmasked(rows, form)
    tensor = {"shape": rows.shape, "values": rows.ravel().tolist()}
    return SeldonMessage(data={"names": names, "tensor": tensor})


def _json_values(value: ProtoMessage) -> ProtoMessage:
    """Converts numpy values to Python numbers and lists, and NaN and infinity to None."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _json_values(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_values(item) for item in value]
    return value


FORMAT = WireFormat("seldon-protobuf", decode, encode, _HEADERS)
