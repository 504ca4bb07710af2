"""Adds an outlier detector to a trained network."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from model.networks import Detector
from model.outliers import TRAINING_KINDS, draw, training_sources

_UNITS = 32
_EPOCHS = 8
_PICTURES = 4000  # outliers of each kind
_PREDICT_BATCH = 500


def fit_detector(trained: keras.Model, images: NDArray[np.uint8], seed: int) -> Detector:
    """Fits two layers to the features of real images and of outliers.

    Training with generated outliers is called outlier exposure (Hendrycks et al. 2019). Here
    the network stays frozen and only a head is fitted, so that the classification does not
    change.

    Args:
        trained: a trained network of `networks.build`.
        images: uint8 (n, 28, 28), real training images.
        seed: seed of the initial weights and the order of the images.

    Returns:
        The two layers. The weights of the first include the scaling of the features.
    """
    sources = training_sources(images)
    outliers = np.concatenate([draw(kind, _PICTURES, sources) for kind in TRAINING_KINDS])
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
    """Returns the input of a network's last layer: float32 (n, features).

    Args:
        trained: a trained network of `networks.build`.
        images: uint8 (n, 28, 28).
    """
    upto = keras.Model(trained.inputs, trained.get_layer("features").output)
    predict: Any = tf.function(lambda pixels: upto(pixels, training=False), reduce_retracing=True)
    parts = np.array_split(images, max(1, math.ceil(len(images) / _PREDICT_BATCH)))
    scaled = (tf.constant(part[..., None].astype(np.float32) / 255) for part in parts)
    return np.concatenate([predict(pixels).numpy() for pixels in scaled])
