"""Open Inference Protocol (V2) JSON.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import numpy as np
from numpy.typing import NDArray

from kafka.codec.json_text import JSON_HEADERS, array_of, dump_json
from kafka.codec.seldon_json import contiguous, reshaped
from kafka.codec.wire_format import WireFormat
from kafka.messages import Payload, Prediction
from kafka.reasons import Rejected

_DTYPES: Dict[str, Any] = {
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


def decode(document: Dict[str, Any]) -> Payload:
    """The one input tensor, in its shape and datatype.

    Raises:
        Rejected: there is not exactly one input, or it contradicts itself.
    """
    inputs = document["inputs"]
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        count = len(inputs) if isinstance(inputs, list) else 0
        raise Rejected("unsupported", f"inputs must be an array of one tensor, got {count}")
    tensor = inputs[0]
    datatype = tensor.get("datatype")
    flat = array_of(tensor.get("data"), "inputs[0].data").ravel()
    array = reshaped(_typed(flat, datatype), tensor.get("shape"), "inputs[0]")
    meta = {"puid": document["id"]} if isinstance(document.get("id"), str) else {}
    return Payload("ndarray", array, (), meta, document)


def _typed(values: NDArray[Any], datatype: Any) -> NDArray[Any]:
    if datatype == "BYTES":
        if values.size and values.dtype.kind != "U":
            raise Rejected("bad_value", "inputs[0].data holds what is no BYTES: send texts")
        return values.astype(str)
    dtype = _DTYPES.get(datatype) if isinstance(datatype, str) else None
    if dtype is None:
        known = ", ".join([*_DTYPES, "BYTES"])
        raise Rejected("bad_value", f"inputs[0].datatype {datatype!r} is none of {known}")
    if values.size and values.dtype.kind not in "biuf":
        raise Rejected("bad_value", f"inputs[0].data holds what is no {datatype}")
    if np.issubdtype(dtype, np.integer) and values.size:
        limits = np.iinfo(dtype)
        # As Python's numbers: in floating point 2^64 is not larger than the largest UINT64.
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            raise Rejected("bad_value", f"inputs[0].data holds what does not fit {datatype}")
        if values.dtype.kind == "f" and np.any(values % 1):
            raise Rejected("bad_value", f"inputs[0].data holds fractions, datatype is {datatype}")
    with np.errstate(over="ignore"):
        typed = values.astype(dtype)
    if typed.dtype.kind == "f" and not np.isfinite(typed).all():
        raise Rejected("bad_value", f"inputs[0].data holds what does not fit {datatype}")
    return typed


def encode(payload: Payload, prediction: Prediction, puid: str) -> bytes:
    """The reply: rows as the first output, tags of one entry a row as further ones."""
    if prediction.raw:
        return dump_json(prediction.data)
    outputs = [_output("predict", prediction.data)]
    parameters: Dict[str, Any] = {}
    for name, value in prediction.tags.items():
        if name in prediction.row_tags:
            outputs.append(_output(name, value))
        elif isinstance(value, (str, bool, int, float)):
            parameters[name] = value
    if prediction.names:
        outputs[0]["parameters"] = {"names": ",".join(prediction.names)}
    reply: Dict[str, Any] = {"id": puid, "outputs": outputs}
    if parameters:
        reply["parameters"] = parameters
    return dump_json(reply)


def _output(name: str, data: Any) -> Dict[str, Any]:
    datatype, shape, values = _flat(data)
    return {"name": name, "shape": shape, "datatype": datatype, "data": values}


def _flat(data: Any) -> Tuple[str, List[int], Any]:
    if isinstance(data, (dict, str, bytes, bytearray)):
        text = data.decode("utf-8", "replace") if isinstance(data, (bytes, bytearray)) else data
        return "BYTES", [1], [text if isinstance(text, str) else dump_json(text).decode()]
    array = np.asarray(data)
    datatype = _DATATYPES.get(array.dtype.newbyteorder("="))
    if datatype is None:
        return "BYTES", list(array.shape), [str(item) for item in array.ravel().tolist()]
    return datatype, list(array.shape), contiguous(array).ravel()


FORMAT = WireFormat("v2-json", decode, encode, JSON_HEADERS)
