"""TensorFlow's tensors are read and written as by TensorFlow, without TensorFlow."""

from __future__ import annotations

import subprocess
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seldon_kafka.codec import tf_tensor
from seldon_kafka.codec.seldon_messages import DefaultData
from seldon_kafka.errors import Rejected
from tests.support.environments import ROOT, TRAINING_PYTHON, with_tensorflow

NUMBERS = (
    "float16", "float32", "float64", "complex64", "complex128",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip


def read(**fields: Any) -> Any:
    """Returns the array of a tensor with these fields."""
    return tf_tensor.of_proto(DefaultData(tftensor=fields))


def shaped(*sizes: int) -> dict[str, Any]:
    return {"dim": [{"size": size} for size in sizes]}


def is_written_by_json(array: Any) -> bool:
    """Returns whether it can be read back: the largest float32 is too large with 8 digits."""
    return array.size != 1 or array.dtype.kind not in "fc" or bool(np.all(np.abs(array) < 3e38))


@given(
    st.sampled_from(NUMBERS).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0, max_side=4))
    )
)
def test_an_array_comes_back_from_both_forms(array: Any) -> None:
    proto = DefaultData(tftensor=tf_tensor.to_proto(array))
    forms = [tf_tensor.of_proto(proto)]
    if is_written_by_json(array):
        forms.append(tf_tensor.of_json(tf_tensor.to_json(array)))
    for found in forms:
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("fields", "dtype", "values"),
    [
        ({"dtype": "DT_FLOAT", "float_val": [0.5], "tensor_shape": shaped(2)}, "float32",
         [0.5] * 2),
        ({"dtype": "DT_INT32", "int_val": [1, 2], "tensor_shape": shaped(3)}, "int32", [1, 2, 2]),
        ({"dtype": "DT_INT8", "tensor_content": b"\xff\x01", "tensor_shape": shaped(2)}, "int8",
         [-1, 1]),
        ({"dtype": "DT_INT16", "tensor_content": b"\x01\x02", "tensor_shape": shaped(1)}, "int16",
         [0x201]),
        ({"dtype": "DT_HALF", "half_val": [0x3C00], "tensor_shape": shaped(2)}, "float16", [1, 1]),
        ({"dtype": "DT_COMPLEX64", "scomplex_val": [1, 2], "tensor_shape": shaped(1)}, "complex64",
         [1 + 2j]),
        ({"dtype": "DT_BOOL", "bool_val": [True], "tensor_shape": shaped(2)}, "bool", [True, True]),
        ({"dtype": "DT_FLOAT", "tensor_shape": shaped(2)}, "float32", [0, 0]),
        ({"dtype": "DT_FLOAT", "tensor_shape": shaped(0)}, "float32", []),
        ({"dtype": "DT_DOUBLE", "double_val": [2.5]}, "float64", 2.5),
        ({"dtype": "DT_STRING", "string_val": [b"a\0"], "tensor_shape": shaped(2)}, "object",
         [b"a\0", b"a\0"]),
        ({"dtype": "DT_STRING", "tensor_shape": shaped(1)}, "object", [""]),
    ],
)  # fmt: skip
def test_values_may_be_bytes_or_numbers_and_the_last_one_is_repeated(
    fields: dict[str, Any], dtype: str, values: Any
) -> None:
    found = read(**fields)
    assert found.dtype == dtype
    assert found.tolist() == values
    assert found.flags.writeable


@pytest.mark.parametrize(
    ("fields", "reason", "said"),
    [
        ({}, "bad_value", "DT_INVALID"),
        ({"dtype": "DT_BFLOAT16"}, "bad_value", "DT_BFLOAT16"),
        ({"dtype": "DT_FLOAT_REF"}, "bad_value", "DT_FLOAT_REF"),
        ({"dtype": 99}, "bad_value", "99"),
        ({"dtype": "DT_FLOAT", "float_val": [1, 2]}, "bad_shape", "2 values"),
        ({"dtype": "DT_FLOAT", "float_val": [1], "tensor_shape": shaped(0)}, "bad_shape",
         "1 value"),
        ({"dtype": "DT_FLOAT", "tensor_content": b"12345", "tensor_shape": shaped(1)}, "bad_value",
         "tensorContent"),
        ({"dtype": "DT_STRING", "tensor_content": b"12345678"}, "bad_value", "tensorContent"),
        ({"dtype": "DT_INT8", "int_val": [128], "tensor_shape": shaped(1)}, "bad_value", "no int8"),
        ({"dtype": "DT_UINT8", "int_val": [-1], "tensor_shape": shaped(1)}, "bad_value",
         "no uint8"),
        ({"dtype": "DT_HALF", "half_val": [-1], "tensor_shape": shaped(1)}, "bad_value", "uint16"),
        ({"dtype": "DT_COMPLEX64", "scomplex_val": [1]}, "bad_value", "half of a number"),
        ({"dtype": "DT_FLOAT", "tensor_shape": shaped(-1)}, "bad_shape", "-1"),
        ({"dtype": "DT_FLOAT", "tensor_shape": shaped(2**40)}, "bad_shape", "fewer values"),
    ],
)  # fmt: skip
def test_an_invalid_tensor_is_rejected(fields: dict[str, Any], reason: str, said: str) -> None:
    with pytest.raises(Rejected) as refused:
        read(**fields)
    assert refused.value.reason == reason
    assert said in str(refused.value)


def test_a_type_that_tensorflow_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"longdouble|float128"):
        tf_tensor.to_proto(np.zeros(2, np.longdouble))


COMPARED = """
import numpy as np
import tensorflow as tf
from seldon_kafka.codec import tf_tensor
from seldon_kafka.codec.seldon_messages import DefaultData

compared = 0
for dtype in {numbers}:
    for shape in [(), (1,), (0,), (3,), (2, 3), (1, 1, 1), (2, 0, 3)]:
        counted = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
        for array in (np.full(shape, 7, dtype), counted):
            theirs = tf.make_tensor_proto(array)
            assert tf_tensor.to_proto(array).SerializeToString() == theirs.SerializeToString()
            for each in (theirs, tf.make_tensor_proto(array.tolist(), dtype, shape)):
                data = DefaultData()
                data.tftensor.ParseFromString(each.SerializeToString())
                ours, expected = tf_tensor.of_proto(data), tf.make_ndarray(each)
                assert (ours.dtype, ours.shape) == (expected.dtype, expected.shape)
                np.testing.assert_array_equal(ours, expected)
                compared += 1
print(compared)
"""


@with_tensorflow
def test_tensors_are_those_of_tensorflow() -> None:
    ran = subprocess.run(
        [str(TRAINING_PYTHON), "-c", COMPARED.format(numbers=NUMBERS)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert int(ran.stdout) == len(NUMBERS) * 7 * 4
