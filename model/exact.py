"""Makes a quantised network give the same numbers on every interpreter.

An int8 layer adds up whole numbers and scales the sum down to int8. The sums agree
everywhere, the rounding does not: newer interpreters (XNNPACK) multiply by a float and
round ties to even; older ones, tflite-runtime 2.14 among them, multiply by a fixed-point
number and round twice, ties away from zero. About one activation in a thousand comes out
one step apart, and probabilities then differ by up to a hundredth.

Here they can't differ. All scales become powers of two, so that scaling down is a shift;
all weights become multiples of 4 and all biases 2 more than one, so that a sum is even
(the first of two roundings has nothing to round) and half of it odd (there are no ties).
What is added up in a residual block gets the scale of the sum, so that nothing is rounded
there. The price is weights of 6 bits; `docs/model.md` has it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_STEP = 4
_LARGEST = 124  # the largest multiple of 4 in int8


def make_exact(content: bytes) -> bytes:
    """Put the scales, weights and biases of int8 layers onto the grid described above.

    Args:
        content: A TFLite model of int8 convolutions, fully connected layers and sums;
            float32 layers read means or copies of int8 activations, or each other.

    Returns:
        The model, with the same layers.
    """
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    network = _Network(model, schema)
    stretches = network.round_activation_scales()
    for operator in network.operators():
        network.requantise(operator, stretches)
    exact: bytes = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    return exact


class _Network:
    """The one subgraph of a model in flatbuffers' object form."""

    def __init__(self, model: Any, schema: Any) -> None:
        self._buffers = model.buffers
        self._graph = model.subgraphs[0]
        self._codes = [code.builtinCode for code in model.operatorCodes]
        self._int8 = schema.TensorType.INT8
        self._weighted = (
            schema.BuiltinOperator.CONV_2D,
            schema.BuiltinOperator.FULLY_CONNECTED,
        )
        # These hand numbers on as they are: between integers, and from integers to floats.
        self._tying = (schema.BuiltinOperator.ADD, schema.BuiltinOperator.RESHAPE)
        self._float_copies = (
            schema.BuiltinOperator.DEQUANTIZE,
            schema.BuiltinOperator.MEAN,
            schema.BuiltinOperator.RESHAPE,
        )

    def operators(self) -> list[Any]:
        """Layers with weights, in the order of their execution."""
        return [
            operator
            for operator in self._graph.operators
            if self._codes[operator.opcodeIndex] in self._weighted
        ]

    def round_activation_scales(self) -> dict[int, float]:
        """Round the scale of each int8 activation to a power of two.

        Returns:
            By tensor, how many times larger the numbers that it stands for have become.
        """
        stretches = {}
        for tied in self._tied_activations():
            scales = [float(self._graph.tensors[i].quantization.scale[0]) for i in tied]
            new = float(2.0 ** np.round(np.log2(max(scales))))
            for index in tied:
                self._graph.tensors[index].quantization.scale = [new]
                stretches[index] = new / max(scales)
        return stretches

    def _tied_activations(self) -> list[set[int]]:
        """All int8 activations, those together that must share a scale."""
        weights = {operator.inputs[1] for operator in self.operators()}
        groups = [
            {index}
            for index, tensor in enumerate(self._graph.tensors)
            if tensor.type == self._int8 and index not in weights
        ]
        for operator in self._graph.operators:
            if self._codes[operator.opcodeIndex] in self._tying:
                ends = {*operator.inputs, *operator.outputs}
                met = [group for group in groups if group & ends]
                groups = [group for group in groups if not group & ends]
                groups.append(set().union(*met))
        return groups

    def requantise(self, operator: Any, stretches: dict[int, float]) -> None:
        """Scale a layer's weights to its stretched input and output, and round them."""
        source, weight_index, bias_index = operator.inputs
        weight, bias = self._graph.tensors[weight_index], self._graph.tensors[bias_index]
        if weight.type != self._int8:
            stretch = stretches.get(self._read_from(source), 1.0)
            self._write(weight, self._read(weight, np.float32) / np.float32(stretch))
            return
        stretch = stretches[operator.outputs[0]]
        scales = np.array(weight.quantization.scale)[:, None]
        channels = self._read(weight, np.int8).reshape(len(scales), -1)
        real = channels * scales * (stretch / stretches[source])
        real_bias = self._read(bias, np.int32) * np.array(bias.quantization.scale) * stretch
        grid = 2.0 ** np.ceil(np.log2(np.abs(real).max(axis=1) / (_LARGEST + _STEP / 2)))
        rounded = _STEP * np.rint(real / (_STEP * grid[:, None]))
        self._write(weight, np.clip(rounded, -_LARGEST, _LARGEST).astype(np.int8))
        bias_grid = grid * self._graph.tensors[source].quantization.scale[0]
        whole = _STEP * np.rint((real_bias / bias_grid - 2) / _STEP) + 2
        self._write(bias, whole.astype(np.int32))
        weight.quantization.scale = grid.tolist()
        bias.quantization.scale = bias_grid.tolist()

    def _read_from(self, tensor: int) -> int:
        """The int8 activation that a float one is a copy or a mean of, else itself."""
        for operator in self._graph.operators:
            if tensor in operator.outputs and (
                self._codes[operator.opcodeIndex] in self._float_copies
            ):
                return self._read_from(operator.inputs[0])
        return tensor

    def _read(self, tensor: Any, dtype: Any) -> NDArray[Any]:
        return np.frombuffer(bytes(self._buffers[tensor.buffer].data), dtype)

    def _write(self, tensor: Any, values: NDArray[Any]) -> None:
        self._buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
