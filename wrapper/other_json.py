"""Reads Open Inference (V2) JSON and TensorFlow Serving JSON on Seldon's `/predict`.

Seldon's server supports neither format, so the classes read both in `predict_raw`. Replies have
the same form as the replies of the stream runtime.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray
from seldon_core.user_model import SeldonResponse

from wrapper.payload import BadPayload, as_array

_INTEGERS = ("UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64")
_FRACTIONS = ("FP16", "FP32", "FP64")
_DATATYPES = {str: "BYTES", float: "FP64", bool: "BOOL"}


def payload_of(message: Dict[str, Any]) -> Optional[Any]:
    """Returns the pixels of a message in either format.

    Returns:
        An array, or the bytes of an image; None if the message has neither format.

    Raises:
        BadPayload: the message has one of the formats, but is not valid.
    """
    if "inputs" in message:
        return _tensor(message["inputs"])
    if "instances" in message:
        return _instances(message["instances"])
    return None


def reply_to(
    message: Dict[str, Any], answer: SeldonResponse, names: List[str], row_tags: Tuple[str, ...]
) -> Dict[str, Any]:
    """Returns an answer in the format of its message; TensorFlow Serving JSON has no tags.

    Args:
        message: the message; Open Inference (V2) if it has `inputs`, else TensorFlow Serving.
        answer: probabilities float32 (n, classes), and tags.
        names: names of the classes.
        row_tags: names of the tags that have an entry for each row.
    """
    if "inputs" not in message:
        return {"predictions": answer.data.tolist()}
    rows = _output("predict", "FP32", answer.data)
    rows["parameters"] = {"names": ",".join(names)}
    identity = message.get("id")
    return {
        "id": identity if isinstance(identity, str) else str(uuid.uuid4()),
        "outputs": [
            rows,
            *(
                _output(name, _DATATYPES[type(values[0])], np.array(values))
                for name, values in answer.tags.items()
                if name in row_tags
            ),
        ],
        "parameters": {name: value for name, value in answer.tags.items() if name not in row_tags},
    }


def _tensor(inputs: Any) -> NDArray[Any]:
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise BadPayload("unsupported", "inputs must be an array of one tensor")
    tensor = inputs[0]
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise BadPayload("bad_shape", "the tensor's shape must be an array of whole numbers")
    values = _typed(as_array(tensor.get("data")).ravel(), str(tensor.get("datatype")))
    try:
        return values.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise BadPayload(
            "bad_shape", f"{values.size} values do not fill the shape {shape}"
        ) from error


def _typed(values: NDArray[Any], datatype: str) -> NDArray[Any]:
    """Returns values as floats or integers, as their V2 datatype says.

    `to_rows` needs the right type to find the scale of the pixels.
    """
    if values.dtype.kind in "iuf":
        if datatype in _FRACTIONS:
            return values.astype(np.float64)
        if datatype in _INTEGERS and _fits(values, np.iinfo(datatype.lower())):
            return values if values.dtype.kind in "iu" else values.astype(np.int64)
    known = ", ".join([*_INTEGERS, *_FRACTIONS])
    raise BadPayload(
        "bad_value", f"data must be numbers that fit the datatype, which is one of {known}"
    )


def _fits(values: NDArray[Any], limits: Any) -> bool:
    if not values.size:
        return True
    in_limits = limits.min <= int(values.min()) and int(values.max()) <= limits.max
    return in_limits and not np.any(values % 1)


def _instances(instances: Any) -> Any:
    if isinstance(instances, list) and instances and isinstance(instances[0], dict):
        if len(instances) != 1 or not isinstance(instances[0].get("b64"), str):
            raise BadPayload("unsupported", 'instances must be arrays, or one {"b64": …}')
        try:
            return base64.b64decode(instances[0]["b64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadPayload("bad_base64", f"b64 is not base64: {error}") from error
    return as_array(instances)


def _output(name: str, datatype: str, values: NDArray[Any]) -> Dict[str, Any]:
    return {
        "name": name,
        "shape": list(values.shape),
        "datatype": datatype,
        "data": values.ravel().tolist(),
    }
