"""Seldon protobuf: `seldon.protos.SeldonMessage`, in and out."""

from __future__ import annotations

import warnings
from typing import Any, Dict

import numpy as np
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from seldon_core.proto import prediction_pb2
from seldon_core.utils import array_to_grpc_datadef

from kafka.codec import tf_tensor
from kafka.codec.json_text import array_of
from kafka.codec.limits import check_array_of_texts, check_fields
from kafka.codec.seldon_json import composed_meta, reshaped
from kafka.codec.wire_format import WireFormat
from kafka.messages import Payload, Prediction
from kafka.reasons import Rejected

NAME = "seldon.protos.SeldonMessage"
_HEADERS = (("content-type", b"application/x-protobuf"), ("proto-name", NAME.encode("ascii")))


def check_name(proto_name: bytes) -> None:
    """Refuses other messages than `SeldonMessage`.

    Raises:
        Rejected: `proto_name` is another one.
    """
    if proto_name != NAME.encode("ascii"):
        found = proto_name[:80].decode("utf-8", "replace")
        raise Rejected("unknown_proto_name", f"proto-name {found!r} is not {NAME}")


def parse(value: bytes) -> Any:
    """The `SeldonMessage` in these bytes.

    Raises:
        Rejected: they are none, or only begin like one, or nest too deeply or too much.
    """
    check_fields(value, prediction_pb2.SeldonMessage.DESCRIPTOR)
    try:
        with warnings.catch_warnings():
            # protobuf's C++ parser (Python 3.8 to 3.10) only warns of bytes that it left over; as
            # an error the warning arrives as SystemError.
            warnings.simplefilter("error", RuntimeWarning)
            return prediction_pb2.SeldonMessage.FromString(value)
    except (DecodeError, SystemError) as error:
        why = error.__cause__ or error
        raise Rejected("not_protobuf", f"the value is no {NAME}: {why}") from None
    except RecursionError:
        raise _too_deep() from None


def decode(value: bytes) -> Payload:
    """The payload of a `SeldonMessage`.

    Raises:
        Rejected: the bytes are none, or it holds no data.
    """
    try:
        return _payload(parse(value))
    except UnicodeDecodeError as error:
        # Of protobuf's parsers one looks at texts at once, another when they are asked for.
        raise Rejected("invalid_utf8", f"a text in the {NAME} is not UTF-8: {error}") from None
    except json_format.Error as error:
        raise Rejected("bad_value", f"the {NAME} holds what JSON has not: {error}") from None


def _payload(message: Any) -> Payload:
    kind = message.WhichOneof("data_oneof")
    if kind is None:
        raise Rejected("no_payload", f"the {NAME} has none of data, binData, strData, jsonData")
    meta: Dict[str, Any] = _as_json(message.meta) if message.HasField("meta") else {}
    if kind == "data":
        return _decode_data(message, meta)
    data = getattr(message, kind)
    if kind == "jsonData":
        data = _as_json(data)
    return Payload(kind, data, (), meta, message)


def _decode_data(message: Any, meta: Dict[str, Any]) -> Payload:
    kind = message.data.WhichOneof("data_oneof")
    names = tuple(message.data.names)
    if kind == "tensor":
        values = np.array(message.data.tensor.values, dtype=np.float64)
        data = reshaped(values, list(message.data.tensor.shape), "data.tensor")
    elif kind == "ndarray":
        rows = _as_json(message.data.ndarray)
        check_array_of_texts(rows)
        data = array_of(rows, "data.ndarray")
    elif kind == "tftensor":
        data = tf_tensor.of_proto(message.data)
    else:
        raise Rejected("no_payload", "data has none of ndarray, tensor, tftensor")
    return Payload(kind, data, names, meta, message)


def _too_deep() -> Rejected:
    return Rejected("too_deep", f"the {NAME} is nested too deeply")


def _as_json(message: Any) -> Any:
    try:
        return json_format.MessageToDict(message)
    except RecursionError:
        raise _too_deep() from None


def encode(payload: Payload, prediction: Prediction, puid: str) -> bytes:
    """The reply as Seldon's gRPC server composes it."""
    if prediction.raw:
        message = prediction.data
        if not message.meta.puid:
            message.meta.puid = puid
        return bytes(message.SerializeToString())
    message = _body(payload.kind, prediction)
    meta = composed_meta(payload, prediction, puid)
    json_format.ParseDict(_json_values(meta), message.meta)
    return bytes(message.SerializeToString())


def _body(kind: str, prediction: Prediction) -> Any:
    data = prediction.data
    if isinstance(data, str):
        return prediction_pb2.SeldonMessage(strData=data)
    if isinstance(data, (bytes, bytearray)):
        return prediction_pb2.SeldonMessage(binData=bytes(data))
    if isinstance(data, dict):
        message = prediction_pb2.SeldonMessage()
        json_format.ParseDict(data, message.jsonData)
        return message
    rows = np.asarray(data)
    # As in seldon_core.utils.construct_response: numbers in the form they came in, else tensor.
    form = kind if kind in ("ndarray", "tensor", "tftensor") else "tensor"
    if not np.issubdtype(rows.dtype, np.number):
        form = "ndarray"
    return prediction_pb2.SeldonMessage(
        data=array_to_grpc_datadef(form, rows, list(prediction.names))
    )


def _json_values(value: Any) -> Any:
    """`value` with numpy's numbers and arrays as Python's own, which protobuf insists on."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, dict):
        return {name: _json_values(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_values(item) for item in value]
    return value


FORMAT = WireFormat("seldon-protobuf", decode, encode, _HEADERS)
