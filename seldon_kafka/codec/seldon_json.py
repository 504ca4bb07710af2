"""Seldon JSON: `data` (`ndarray`, `tensor`, `tftensor`), `binData`, `strData`, `jsonData`.

https://docs.seldon.io/projects/seldon-core/en/v1.17.1/reference/apis/prediction.html
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, List, Union

import numpy as np

from seldon_kafka.codec import tf_tensor
from seldon_kafka.codec.json_text import JSON_HEADERS, MAX_DEPTH, array_of, dump_json, list_of
from seldon_kafka.codec.plain import NotPlain, plain
from seldon_kafka.codec.seldon_messages import is_any
from seldon_kafka.codec.seldon_replies import AS_TENSOR, reply_writer
from seldon_kafka.codec.wire_format import WireFormat
from seldon_kafka.errors import Rejected
from seldon_kafka.messages import Array, Json, JsonObject, Payload, Prediction

# The limit of each size in the shape of an empty array. The array takes no memory, but a user model
# may allocate memory for each row or column.
_LARGEST_EMPTY = 65_536


def decode(document: JsonObject) -> Payload:
    """Decodes a Seldon request to a payload, as Seldon does.

    Raises:
        Rejected: a field is missing or malformed.
    """
    meta = document.get("meta")
    if meta is None:
        meta = {}
    else:
        _check_meta(meta)
    if "data" in document:
        return _decode_data(document, meta)
    if "jsonData" in document:
        return Payload("jsonData", document["jsonData"], (), meta, document)
    if "strData" in document:
        return Payload("strData", document["strData"], (), meta, document)
    if "binData" in document:
        return Payload("binData", decode_base64(document["binData"]), (), meta, document)
    raise Rejected(
        "no_payload", "the object has none of data, binData, strData, jsonData, inputs, instances"
    )


def _check_meta(meta: Json) -> None:
    if not isinstance(meta, dict):
        raise Rejected("no_payload", "meta must be an object")
    for name in ("tags", "requestPath"):
        if not isinstance(meta.get(name) or {}, dict):
            raise Rejected("bad_value", f"meta.{name} must be an object")
    if not isinstance(meta.get("metrics") or [], list):
        raise Rejected("bad_value", "meta.metrics must be an array")
    if any(type(value) is not str for value in meta.values()):
        try:
            plain(meta, "meta", non_finite=False)
        except NotPlain as error:
            # The reply contains the meta of the request, and JSON can't express such values.
            raise Rejected("bad_value", str(error)) from None


def decode_base64(value: Json) -> bytes:
    """Decodes base64 text; white space is allowed, as in Seldon.

    Raises:
        Rejected: the value is not base64 text.
    """
    if not isinstance(value, str):
        raise Rejected("bad_base64", "binData must be base64 text")
    try:
        return base64.b64decode(value)
    except (binascii.Error, ValueError) as error:
        raise Rejected("bad_base64", f"binData is not base64: {error}") from None


def _decode_data(document: JsonObject, meta: JsonObject) -> Payload:
    data = document["data"]
    if not isinstance(data, dict):
        raise Rejected("no_payload", "data must be an object with ndarray or tensor")
    names = _names(data.get("names", ()))
    if "tensor" in data:
        return Payload("tensor", _tensor(data["tensor"]), names, meta, document)
    if "ndarray" in data:
        return Payload("ndarray", array_of(data["ndarray"], "data.ndarray"), names, meta, document)
    if "tftensor" in data:
        return Payload("tftensor", tf_tensor.of_json(data["tftensor"]), names, meta, document)
    # As in Seldon, `data` without an array means an empty array.
    return Payload("ndarray", np.array([]), names, meta, document)


def _names(names: Json) -> Json:
    """Converts a list of strings to a tuple, which messages can share; returns others unchanged."""
    if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names):
        return tuple(names)
    return names


def _tensor(tensor: Json) -> Array:
    if not isinstance(tensor, dict):
        raise Rejected("no_payload", "data.tensor must be an object with shape and values")
    values = list_of(tensor.get("values"), "data.tensor.values")
    return reshaped(values, tensor.get("shape"), "data.tensor")


def reshaped(values: Array, shape: Json, what: str) -> Array:
    """Returns the values in the given shape, where a size of -1 means the remaining size.

    Raises:
        Rejected: the shape is invalid, or does not match the number of values.
    """
    if not isinstance(shape, list):
        raise Rejected("bad_shape", f"{what}.shape must be an array of whole numbers")
    if len(shape) > MAX_DEPTH:
        raise Rejected("too_deep", f"{what}.shape has more than {MAX_DEPTH} dimensions")
    if not all(type(size) is int and size >= -1 for size in shape) or shape.count(-1) > 1:
        raise Rejected("bad_shape", f"{what}.shape must be an array of whole numbers")
    count = 1
    for size in shape:
        count *= max(1, size) if size else 0
    if -1 in shape and count:
        # As in numpy, -1 means the remaining size.
        shape = [values.size // count if size == -1 else size for size in shape]
        count *= values.size // count
    if count != values.size:
        raise Rejected("bad_shape", f"{what}.shape {shape} needs {count} values, got {values.size}")
    if not count and max(shape) > _LARGEST_EMPTY:
        raise Rejected("bad_shape", f"{what}.shape {shape} is too large for an empty tensor")
    return values.reshape(shape)


def encode(payload: Payload, prediction: Prediction, puid: str) -> bytes:
    """Encodes the reply as Seldon does, with rows in the form of the request."""
    if prediction.raw:
        return dump_json(_with_puid(prediction.data, puid))
    document = _body(payload.kind, prediction)
    document["meta"] = composed_meta(payload, prediction, puid)
    return dump_json(document)


def _with_puid(reply: Any, puid: str) -> Json:
    if isinstance(reply, dict) and ("data" in reply or "meta" in reply):
        meta = dict(reply.get("meta") or {})
        meta.setdefault("puid", puid)
        return {**reply, "meta": meta}
    return reply


def _body(kind: str, prediction: Prediction) -> JsonObject:
    data = prediction.data
    if isinstance(data, dict):
        return {"jsonData": data}
    if isinstance(data, (bytes, bytearray)):
        return {"binData": base64.b64encode(data).decode("ascii")}
    if isinstance(data, str):
        return {"strData": data}
    if is_any(data):
        raise TypeError("JSON has no customData; ask for it in protobuf")
    rows = data if isinstance(data, np.ndarray) else np.asarray(data)
    names = listed(prediction.names)
    # Rows without numbers become an ndarray, whatever the form of the request.
    is_number = np.issubdtype(rows.dtype, np.number)
    if is_number and kind == "tftensor":
        return {"data": {"names": names, "tftensor": tf_tensor.to_json(rows)}}
    body: JsonObject = {"names": names}
    if is_number and kind in AS_TENSOR:
        body["tensor"] = {"shape": list(rows.shape), "values": values_of(rows.ravel())}
    else:
        body["ndarray"] = values_of(data)
    return {"data": body}


def listed(names: Json) -> Json:
    """Returns class names for `dump_json`, a tuple as a list."""
    return list(names) if isinstance(names, tuple) else names


def values_of(data: Json) -> Union[Array, List[Json], Any]:
    """Returns rows for `dump_json`; masked values become `null`."""
    if not isinstance(data, np.ndarray):
        return data
    if isinstance(data, np.ma.MaskedArray) or not data.ndim:
        return data.tolist()
    return np.ascontiguousarray(data)


def composed_meta(payload: Payload, prediction: Prediction, puid: str) -> JsonObject:
    """Returns `meta` of the reply, which merges `meta` of the request with the prediction.

    Of a tag in both, the prediction's value is kept. Of a node in both request paths, the request's
    value is kept. The metrics of both are kept.
    """
    meta: JsonObject = {"puid": puid}
    sent = payload.meta
    if sent.get("tags") or prediction.tags:
        meta["tags"] = {**(sent.get("tags") or {}), **prediction.tags}
    metrics: List[Json] = [*(sent.get("metrics") or []), *prediction.metrics]
    if metrics:
        meta["metrics"] = metrics
    request_path = {**prediction.request_path, **(sent.get("requestPath") or {})}
    if request_path:
        meta["requestPath"] = request_path
    return meta


FORMAT = WireFormat("seldon-json", decode, encode, JSON_HEADERS, reply_writer)
