"""The networks in Keras, and their form for serving."""

import math
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops
from numpy.typing import NDArray

from model.config import Network, Stage
from model.labels import CLASSES


@dataclass(frozen=True)
class Detector:
    """Two fully connected layers that compute an outlier score from a network's features.

    Attributes:
        hidden: float32 (features, units), weights of the first layer, with ReLU.
        hidden_bias: float32 (units,).
        last: float32 (units, 1), weights of the second layer, with a sigmoid.
        last_bias: float32 (1,).
    """

    hidden: NDArray[Any]
    hidden_bias: NDArray[Any]
    last: NDArray[Any]
    last_bias: NDArray[Any]


def build(network: Network, *, synchronized: bool = False) -> keras.Model:
    """Makes an untrained network.

    Strides replace pooling. With int8 kernels a convolution on 14 x 14 pixels costs a quarter of
    one on 28 x 28, and the accuracy is the same.

    Args:
        network: shape of the network.
        synchronized: whether batch normalisation uses the images of all processes.

    Returns:
        A model from float32 (n, 28, 28, 1), ink from 0 to 1, to ten logits.
    """
    pixels = keras.Input((28, 28, 1))
    x = pixels
    for stage in network.stages:
        x = _stage(x, stage, synchronized)
    if network.hidden:
        # layers.Flatten would read the batch size at run time. Then shapes would be open in the
        # converted graph, and the interpreter would split the graph in two.
        x = ops.reshape(x, (-1, math.prod(x.shape[1:])))
        x = layers.Dropout(network.dropout)(x)
        x = layers.Dense(network.hidden, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(synchronized=synchronized)(x))
    else:
        x = layers.GlobalAveragePooling2D(name="means")(x)
    x = layers.Dropout(network.dropout, name="features")(x)
    return keras.Model(pixels, layers.Dense(CLASSES, name="logits", dtype="float32")(x))


def serving(
    trained: keras.Model, network: Network, temperature: float, detector: Detector
) -> keras.Model:
    """Copies a trained network into the form that is served.

    The weights of the copy include the scale of the input and the temperature. With ink from 0
    to 255 the interpreter's int8 input is exact.

    Args:
        trained: a trained network of `build(network)`.
        network: shape of the network.
        temperature: divisor of the logits before the softmax.
        detector: layers that compute outlier scores from the network's features.

    Returns:
        A model from float32 (n, 28, 28, 1), ink from 0 to 255, to a dict: `probabilities`
        (n, 10), and `outlier` (n, 1), the outlier scores from 0 to 1.
    """
    copy = build(network)
    copy.set_weights(trained.get_weights())
    first = next(layer for layer in copy.layers if isinstance(layer, layers.Conv2D))
    first.set_weights([kernel / 255 for kernel in first.get_weights()])
    last = copy.get_layer("logits")
    last.set_weights([weight / temperature for weight in last.get_weights()])
    probabilities = layers.Softmax(name="probabilities")(copy.outputs[0])
    hidden = layers.Dense(len(detector.hidden_bias), "relu", name="outlier_hidden")
    score = layers.Dense(1, "sigmoid", name="outlier")
    outlier = score(hidden(copy.get_layer("features").output))
    hidden.set_weights([detector.hidden, detector.hidden_bias])
    score.set_weights([detector.last, detector.last_bias])
    return keras.Model(copy.inputs, {"probabilities": probabilities, "outlier": outlier})


def multiply_adds(model: keras.Model) -> int:
    """Counts the multiplications of a model for one image."""
    count = 0
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            count += math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:3])
        elif isinstance(layer, layers.Dense):
            count += math.prod(layer.kernel.shape)
    return count


def _stage(x: keras.KerasTensor, stage: Stage, synchronized: bool) -> keras.KerasTensor:
    def convolution(x: keras.KerasTensor, kernel: int = 3, stride: int = 1) -> keras.KerasTensor:
        x = layers.Conv2D(stage.channels, kernel, strides=stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization(synchronized=synchronized)(x)

    x = layers.ReLU()(convolution(x, stage.kernel, stride=2))
    for _ in range(stage.plain):
        x = layers.ReLU()(convolution(x))
    for _ in range(stage.residual):
        inner = convolution(layers.ReLU()(convolution(x)))
        x = layers.ReLU()(layers.Add()([x, inner]))
    return x
