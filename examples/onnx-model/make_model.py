"""Writes model.onnx: softmax(X W + b), for rows of two numbers and three classes."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = np.array([[1, -1, 0], [0, 1, -1]], np.float32)
BIAS = np.array([0, 0.5, 1], np.float32)

graph = helper.make_graph(
    [
        helper.make_node("Gemm", ["X", "W", "b"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ],
    "softmax",
    [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["rows", 2])],
    [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 3])],
    [numpy_helper.from_array(WEIGHTS, "W"), numpy_helper.from_array(BIAS, "b")],
)
onnx.save(
    helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
    "model.onnx",
)
