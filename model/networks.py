"""The network in Keras, and the form of it that is converted for serving."""

import math

import keras
from keras import layers, ops

from model.config import Network
from model.labels import CLASSES


def build(network: Network) -> keras.Model:
    """Make an untrained network.

    Strides take the place of pooling: on int8 kernels a convolution on 14 x 14 pixels
    costs four times less than one on 28 x 28, and the accuracy is the same.

    Args:
        network: Its shape.

    Returns:
        A model from float32 (n, 28, 28, 1), ink from 0 to 1, to ten logits.
    """
    first, second, third = network.channels
    pixels = keras.Input((28, 28, 1))
    x = _convolution(pixels, first, kernel=5, stride=2)
    x = _convolution(x, second, kernel=3, stride=2)
    x = _convolution(x, third, kernel=3, stride=1)
    # Not layers.Flatten: it asks for the batch size at run time, which leaves shapes open
    # in the converted graph and cuts it in two for the interpreter.
    x = ops.reshape(x, (-1, math.prod(x.shape[1:])))
    x = layers.Dropout(network.dropout)(x)
    x = layers.Dense(network.hidden, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.Dropout(network.dropout)(x)
    return keras.Model(pixels, layers.Dense(CLASSES, name="logits")(x))


def serving(trained: keras.Model, network: Network, temperature: float) -> keras.Model:
    """Copy a trained network into the form that is served.

    The input's scale and the calibration go into the weights, so that serving does
    neither: with ink from 0 to 255 the interpreter's int8 input is exact.

    Args:
        trained: What `build(network)` gave, trained.
        network: Its shape.
        temperature: Logits are divided by it before the softmax.

    Returns:
        A model from float32 (n, 28, 28, 1), ink from 0 to 255, to ten probabilities.
    """
    copy = build(network)
    copy.set_weights(trained.get_weights())
    first = next(layer for layer in copy.layers if isinstance(layer, layers.Conv2D))
    first.set_weights([kernel / 255 for kernel in first.get_weights()])
    last = copy.get_layer("logits")
    last.set_weights([weight / temperature for weight in last.get_weights()])
    return keras.Model(copy.inputs, layers.Softmax(name="probabilities")(copy.outputs[0]))


def _convolution(
    x: keras.KerasTensor, channels: int, *, kernel: int, stride: int
) -> keras.KerasTensor:
    x = layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))
