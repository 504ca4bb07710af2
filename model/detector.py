"""Teaches a trained network to tell pictures that are no kuzushiji."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from model.networks import Detector
from model.outliers import SCHOOLING, draw, training_sources

_UNITS = 32
_EPOCHS = 8
_PICTURES = 4000
_FEATURES_AT_ONCE = 500


def fit_detector(trained: keras.Model, images: NDArray[np.uint8], seed: int) -> Detector:
    """Fit two layers to the features of real images and of outliers.

    Training with made outliers is outlier exposure (Hendrycks et al. 2019), of a head on
    a frozen network here, so that the classification stays what it is.

    Args:
        trained: What `networks.build` gave, trained.
        images: uint8 (n, 28, 28), real training images.
        seed: Decides initial weights and order.

    Returns:
        The layers, which read the network's features as they are.
    """
    sources = training_sources(images)
    outliers = np.concatenate([draw(kind, _PICTURES, sources) for kind in SCHOOLING])
    real, other = features(trained, images), features(trained, outliers)
    mean, spread = real.mean(axis=0), real.std(axis=0) + 1e-3
    inputs = (np.concatenate([real, other]) - mean) / spread
    is_outlier = np.repeat([0.0, 1.0], [len(real), len(other)])
    keras.utils.set_random_seed(seed)
    hidden, last = keras.layers.Dense(_UNITS, "relu"), keras.layers.Dense(1)
    head = keras.Sequential([hidden, last])
    head.compile(keras.optimizers.Adam(2e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    head.fit(inputs, is_outlier, 256, _EPOCHS, verbose=0)
    weights, bias = hidden.get_weights()
    scaled = weights / spread[:, None]
    return Detector(scaled, bias - mean @ scaled, *last.get_weights())


def features(trained: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a network's last layer reads: float32 (n, features).

    Args:
        trained: What `networks.build` gave, trained.
        images: uint8 (n, 28, 28).
    """
    upto = keras.Model(trained.inputs, trained.get_layer("features").output)
    ask: Any = tf.function(lambda pixels: upto(pixels, training=False), reduce_retracing=True)
    parts = np.array_split(images, max(1, math.ceil(len(images) / _FEATURES_AT_ONCE)))
    scaled = (tf.constant(part[..., None].astype(np.float32) / 255) for part in parts)
    return np.concatenate([ask(pixels).numpy() for pixels in scaled])
