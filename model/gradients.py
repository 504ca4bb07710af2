"""Integrated gradients (Sundararajan, Taly and Yan 2017) of a network in Keras.

The method needs TensorFlow and the trained network beside the artefact. `model.explanation`
needs neither.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

STEPS = 64
"""Number of points on the path from a blank image to the explained image."""

NETWORK = "model.keras"
"""File of the trained network, in the artefact's folder."""


def integrated_gradients(
    network: keras.Model,
    image: NDArray[np.uint8],
    target: int,
    temperature: float = 1.0,
    steps: int = STEPS,
) -> NDArray[np.float32]:
    """Explains an answer by the gradients on the path from a blank image to the image.

    Args:
        network: a trained network of `model.networks.build`: from float32 (n, 28, 28, 1), ink
            from 0 to 1, to logits.
        image: uint8 (28, 28), ink from 0 to 255.
        target: index of the class to explain.
        temperature: the artefact's divisor of logits.
        steps: number of points on the path.

    Returns:
        float32 (28, 28), in log-odds of the class. The sum of all pixels approximates the
        image's log-odds minus a blank image's log-odds. Blank pixels have 0.
    """
    ink = tf.constant(image[None, ..., None].astype(np.float32) / 255)
    shares = (tf.range(steps, dtype=tf.float32) + 0.5) / steps
    path = shares[:, None, None, None] * ink
    with tf.GradientTape() as tape:
        tape.watch(path)
        evidence = log_odds(network, path, target, temperature)
    gradient = tape.gradient(evidence, path)
    heat: NDArray[np.float32] = (ink * tf.reduce_mean(gradient, axis=0)).numpy()[0, ..., 0]
    return heat


def log_odds(network: keras.Model, ink: Any, target: int, temperature: float = 1.0) -> Any:
    """Returns the log-odds of a class, (n,), for images (n, 28, 28, 1) with ink from 0 to 1."""
    logits = network(ink, training=False) / temperature
    others = tf.concat([logits[:, :target], logits[:, target + 1 :]], axis=1)
    return logits[:, target] - tf.reduce_logsumexp(others, axis=1)


def load_network(folder: Path) -> keras.Model:
    """Loads the trained network from an artefact's folder.

    Raises:
        FileNotFoundError: the folder has no trained network.
    """
    path = folder / NETWORK
    if not path.is_file():
        raise FileNotFoundError(path)
    return keras.saving.load_model(path, compile=False)
