"""Decodes and encodes `tftensor`, the tensors of TensorFlow, without TensorFlow.

The rules are those of `tf.make_ndarray` and `tf.make_tensor_proto`
(tensorflow/python/framework/tensor_util.py).
"""

from __future__ import annotations

import json
import math
from typing import Any, Mapping, Tuple

import numpy as np
from google.protobuf import json_format

from seldon_kafka.codec.json_text import MAX_DEPTH
from seldon_kafka.codec.limits import lists_in
from seldon_kafka.codec.plain import check_unmasked
from seldon_kafka.codec.seldon_messages import DefaultData, TensorProto
from seldon_kafka.errors import Rejected
from seldon_kafka.messages import Array, Json

# A message may omit the last values of a tensor if they equal the last value that it has. A tensor
# may have this number of values, or as many as its message has bytes if these are more.
_MOST_VALUES = 2**20
# The limit of arrays and objects in the JSON of a tensor.
_MOST_PARTS = 1000

# The numpy type, and the field with the values of a tensor without `tensor_content`.
_TYPES: Mapping[str, Tuple[str, str]] = {
    "DT_FLOAT": ("float32", "float_val"),
    "DT_DOUBLE": ("float64", "double_val"),
    "DT_HALF": ("float16", "half_val"),
    "DT_INT8": ("int8", "int_val"),
    "DT_INT16": ("int16", "int_val"),
    "DT_INT32": ("int32", "int_val"),
    "DT_INT64": ("int64", "int64_val"),
    "DT_UINT8": ("uint8", "int_val"),
    "DT_UINT16": ("uint16", "int_val"),
    "DT_UINT32": ("uint32", "uint32_val"),
    "DT_UINT64": ("uint64", "uint64_val"),
    "DT_BOOL": ("bool", "bool_val"),
    "DT_COMPLEX64": ("complex64", "scomplex_val"),
    "DT_COMPLEX128": ("complex128", "dcomplex_val"),
    "DT_STRING": ("object", "string_val"),
}
_NAMES = {numpy_name: name for name, (numpy_name, _) in _TYPES.items()}
# A complex number is written as two numbers of this type.
_PARTS = {"complex64": "float32", "complex128": "float64"}
# TensorFlow writes these types, and any single value, without `tensor_content`.
_NEVER_BYTES = ("uint16", *_PARTS)


def of_json(tensor: Json) -> Array:
    """Decodes the array of a tensor in JSON.

    Raises:
        Rejected: the JSON is not a valid tensor.
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


def of_proto(data: Json) -> Array:
    """Decodes the array of the tensor in a `DefaultData`, in the tensor's type and shape.

    Raises:
        Rejected: the tensor is invalid, or its type is not supported.
    """
    tensor = data.tftensor
    sizes = [dimension.size for dimension in tensor.tensor_shape.dim]
    if len(sizes) > MAX_DEPTH:
        raise Rejected("too_deep", f"data.tftensor has more than {MAX_DEPTH} dimensions")
    count = math.prod(sizes)
    if min(sizes, default=0) < 0 or count > max(data.ByteSize(), _MOST_VALUES):
        raise Rejected("bad_shape", f"data.tftensor of shape {sizes} holds fewer values than that")
    values = _values_of(tensor)
    if 0 < values.size < count:
        values = np.concatenate([values, np.repeat(values[-1:], count - values.size)])
    elif not values.size:
        # TensorFlow may write a tensor of zeros or empty strings without any value.
        values = np.full(count, "" if values.dtype == object else 0, values.dtype)
    if values.size != count:
        raise Rejected("bad_shape", f"data.tftensor has {values.size} values, its shape {sizes}")
    return values.reshape(sizes)


def to_proto(array: Array) -> Json:
    """Encodes an array of numbers as a `TensorProto`.

    Raises:
        ValueError: TensorFlow has no such type, or values are masked.
    """
    check_unmasked(array, "tftensor")
    if array.dtype.name not in _NAMES:
        raise ValueError(f"a tftensor can't hold numbers of type {array.dtype}")
    tensor = TensorProto(dtype=_NAMES[array.dtype.name])
    tensor.tensor_shape.SetInParent()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if array.size > 1 and array.dtype.name not in _NEVER_BYTES:
        tensor.tensor_content = array.astype(_little_endian(array.dtype.name), copy=False).tobytes()
        return tensor
    values = array.ravel()
    if array.dtype.name == "float16":
        values = values.view("uint16")
    elif array.dtype.name in _PARTS:
        values = values.view(_PARTS[array.dtype.name])
    getattr(tensor, _TYPES[_NAMES[array.dtype.name]][1]).extend(values.tolist())
    return tensor


def to_json(array: Array) -> Json:
    """Encodes an array of numbers as a tensor in JSON.

    Raises:
        ValueError: TensorFlow has no such type, or values are masked.
    """
    return json.loads(json_format.MessageToJson(to_proto(array)))


def _values_of(tensor: Json) -> Array:
    """Returns the values that a tensor's message has, without those that it omits.

    Returns:
        A new array of one dimension.
    """
    field = tensor.DESCRIPTOR.fields_by_name["dtype"]
    known = field.enum_type.values_by_number.get(tensor.dtype)
    name = known.name if known else str(tensor.dtype)
    if name not in _TYPES:
        raise Rejected("bad_value", f"data.tftensor has the type {name}, which is not read")
    dtype, values_field = _TYPES[name]
    if tensor.tensor_content:
        try:
            return np.frombuffer(tensor.tensor_content, _little_endian(dtype)).astype(dtype)
        except ValueError as error:
            raise Rejected("bad_value", f"data.tftensor.tensorContent: {error}") from None
    written = list(getattr(tensor, values_field))
    if dtype == "object":
        return _of_objects(written)
    if dtype in _PARTS:
        if len(written) % 2:
            raise Rejected("bad_value", f"data.tftensor of {name} has half of a number")
        return np.array(written, _PARTS[dtype]).view(dtype)
    if values_field in ("int_val", "half_val"):
        return _narrowed(written, "uint16" if dtype == "float16" else dtype).view(dtype)
    return np.array(written, dtype)


def _little_endian(dtype: str) -> np.dtype[Any]:
    return np.dtype(dtype).newbyteorder("<")


def _narrowed(written: Json, dtype: str) -> Array:
    """Converts integers to the type of the tensor, which is narrower than that of the field."""
    values = np.array(written, np.int64)
    bounds = np.iinfo(dtype)
    if values.size and not bounds.min <= values.min() <= values.max() <= bounds.max:
        raise Rejected("bad_value", f"data.tftensor has values that are no {dtype}")
    return values.astype(dtype)


def _of_objects(written: Json) -> Array:
    # numpy would convert bytes to a fixed-width type, which loses zero bytes at the end.
    values = np.empty(len(written), object)
    values[:] = written
    return values
