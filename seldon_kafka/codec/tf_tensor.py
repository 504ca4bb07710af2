"""`tftensor`, TensorFlow's own tensors: read where TensorFlow is installed, by its own code."""

from __future__ import annotations

import importlib
import json
from typing import Any

import numpy as np
from google.protobuf import json_format
from numpy.typing import NDArray

from seldon_kafka.codec.json_text import MAX_DEPTH
from seldon_kafka.codec.limits import lists_in
from seldon_kafka.codec.seldon_messages import DefaultData, TensorProto
from seldon_kafka.errors import Rejected

# A tensor may be written shorter than it is: its last value stands for all further ones.
_MOST_VALUES_UNWRITTEN = 2**20
_MOST_PARTS = 1000


def of_json(tensor: Any) -> NDArray[Any]:
    """The array in a tensor's JSON.

    Raises:
        Rejected: it is none, or TensorFlow is not here.
    """
    parts = sum(1 for _ in lists_in(tensor))
    if parts > _MOST_PARTS:
        raise Rejected("too_large", f"data.tftensor has {parts} arrays and objects")
    data = DefaultData()
    try:
        json_format.ParseDict({"tftensor": tensor}, data)
    except (json_format.ParseError, RecursionError) as error:
        raise Rejected("bad_value", f"data.tftensor can't be read: {error}") from None
    return of_proto(data)


def of_proto(data: Any) -> NDArray[Any]:
    """The array in the tensor of a `DefaultData`.

    Raises:
        Rejected: it is none, or TensorFlow is not here.
    """
    sizes = [dimension.size for dimension in data.tftensor.tensor_shape.dim]
    if len(sizes) > MAX_DEPTH:
        raise Rejected("too_deep", f"data.tftensor has more than {MAX_DEPTH} dimensions")
    count = 1
    for size in sizes:
        count *= size
    if min(sizes, default=0) < 0 or count > max(data.ByteSize(), _MOST_VALUES_UNWRITTEN):
        raise Rejected("bad_shape", f"data.tftensor of shape {sizes} holds fewer values than that")
    try:
        return np.asarray(_tensorflow().make_ndarray(data.tftensor))
    except Exception as error:
        raise Rejected("bad_value", f"data.tftensor can't be read: {error}") from None


def to_proto(array: NDArray[Any]) -> Any:
    """The `TensorProto` of an array.

    Raises:
        ValueError: TensorFlow is not here.
    """
    made = _tensorflow().make_tensor_proto(array)
    return TensorProto.FromString(made.SerializeToString())


def to_json(array: NDArray[Any]) -> Any:
    """The tensor of an array as JSON.

    Raises:
        ValueError: TensorFlow is not here.
    """
    return json.loads(json_format.MessageToJson(to_proto(array)))


def _tensorflow() -> Any:
    """TensorFlow, imported when the first tensor of its own comes: it takes seconds."""
    try:
        return importlib.import_module("tensorflow")
    except ImportError as error:
        raise ValueError(f"TensorFlow can't be imported: {error}") from error
