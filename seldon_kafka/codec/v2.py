"""The JSON format of the Open Inference Protocol (V2).

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

import base64
from typing import Any, List, Tuple

import numpy as np

from seldon_kafka.codec.json_text import JSON_HEADERS, dump_json, list_of
from seldon_kafka.codec.seldon_json import reshaped, values_of
from seldon_kafka.codec.wire_format import WireFormat
from seldon_kafka.errors import Rejected
from seldon_kafka.messages import Array, Json, JsonObject, Payload, Prediction

_DTYPES: JsonObject = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
_DATATYPES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}


def decode(document: JsonObject) -> Payload:
    """Decodes the input tensor, in its shape and datatype.

    Raises:
        Rejected: there is not exactly one input, or its shape, datatype and data do not match.
    """
    inputs = document["inputs"]
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        count = len(inputs) if isinstance(inputs, list) else 0
        raise Rejected("unsupported", f"inputs must be an array of one tensor, got {count}")
    tensor = inputs[0]
    datatype = tensor.get("datatype")
    flat = list_of(tensor.get("data"), "inputs[0].data").ravel()
    array = reshaped(_typed(flat, datatype), tensor.get("shape"), "inputs[0]")
    meta = {"puid": document["id"]} if isinstance(document.get("id"), str) else {}
    return Payload("ndarray", array, (), meta, document)


def _typed(values: Array, datatype: Json) -> Array:
    if datatype == "BYTES":
        if values.size and values.dtype.kind != "U":
            raise Rejected(
                "bad_value", "inputs[0].data holds a value that is not BYTES: send texts"
            )
        return values.astype(str)
    dtype = _DTYPES.get(datatype) if isinstance(datatype, str) else None
    if dtype is None:
        known = ", ".join([*_DTYPES, "BYTES"])
        raise Rejected("bad_value", f"inputs[0].datatype {datatype!r} is none of {known}")
    if values.size and values.dtype.kind not in "biuf":
        raise Rejected("bad_value", f"inputs[0].data holds a value that is not {datatype}")
    missing = values.dtype.kind == "f" and not np.isfinite(values).all()
    if missing and not np.issubdtype(dtype, np.floating):
        raise Rejected(
            "bad_value", f"inputs[0].data holds null or infinity, which {datatype} can't hold"
        )
    if np.issubdtype(dtype, np.integer) and values.size:
        limits = np.iinfo(dtype)
        # Compares Python integers, because the largest UINT64 becomes 2^64 in floating point.
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            raise Rejected(
                "bad_value", f"inputs[0].data holds a value that does not fit {datatype}"
            )
        if values.dtype.kind == "f" and np.any(values % 1):
            raise Rejected("bad_value", f"inputs[0].data holds fractions, datatype is {datatype}")
    with np.errstate(over="ignore"):
        typed = values.astype(dtype)
    if typed.dtype.kind == "f" and not np.array_equal(np.isfinite(typed), np.isfinite(values)):
        raise Rejected("bad_value", f"inputs[0].data holds a value that does not fit {datatype}")
    return typed


def encode(payload: Payload, prediction: Prediction, puid: str) -> bytes:
    """Encodes the reply, with the rows as the first output and row tags as further outputs.

    Other tags become parameters if they are strings, booleans or numbers, and are left out if not.
    """
    if prediction.raw:
        return dump_json(prediction.data)
    outputs = [_output("predict", prediction.data)]
    parameters: JsonObject = {}
    tags = {**(payload.meta.get("tags") or {}), **prediction.tags}
    for name, value in tags.items():
        if name in prediction.row_tags:
            outputs.append(_output(name, value))
        elif isinstance(value, (str, bool, int, float)):
            parameters[name] = value
    if prediction.names:
        outputs[0]["parameters"] = {"names": ",".join(map(str, prediction.names))}
    reply: JsonObject = {"id": puid, "outputs": outputs}
    if parameters:
        reply["parameters"] = parameters
    return dump_json(reply)


def _output(name: str, data: Json) -> JsonObject:
    datatype, shape, values = _flat(data)
    return {"name": name, "shape": shape, "datatype": datatype, "data": values}


def _text_of_bytes(data: bytes) -> str:
    """Converts bytes to a string for JSON, by UTF-8 if they are valid UTF-8, else by base64."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(data).decode("ascii")


def _flat(data: Json) -> Tuple[str, List[int], Any]:
    """Returns the datatype, the shape and the flat values of an output."""
    if isinstance(data, bytes):
        return "BYTES", [1], [_text_of_bytes(data)]
    if isinstance(data, (dict, str)):
        return "BYTES", [1], [data if isinstance(data, str) else dump_json(data).decode()]
    array = data if isinstance(data, np.ndarray) else np.asarray(data)
    datatype = _DATATYPES.get(array.dtype.newbyteorder("="))
    if datatype is None:
        return "BYTES", list(array.shape), [str(item) for item in array.ravel().tolist()]
    return datatype, list(array.shape), values_of(array.ravel())


FORMAT = WireFormat("v2-json", decode, encode, JSON_HEADERS)
