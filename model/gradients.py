"""Integrated gradients (Sundararajan, Taly and Yan 2017) of a network in Keras.

Needs TensorFlow, and the trained network that lies beside an artefact that was exported here;
`model.explanation` needs neither.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

STEPS = 64
NETWORK = "model.keras"
"""The trained network's file, beside the artefact's own."""


def integrated_gradients(
    network: keras.Model,
    image: NDArray[np.uint8],
    target: int,
    temperature: float = 1.0,
    steps: int = STEPS,
) -> NDArray[np.float32]:
    """Explain an answer by the gradient on the way from a blank image to this one.

    Args:
        network: What `model.networks.build` gave, trained: from float32 (n, 28, 28, 1), ink
            from 0 to 1, to logits.
        image: uint8 (28, 28), ink from 0 to 255.
        target: The class to explain.
        temperature: What the artefact divides logits by.
        steps: Points on the way.

    Returns:
        float32 (28, 28), in log-odds of the class. Its sum is how far the image's are above
        those of a blank one, but for what the steps leave out; blank pixels have 0.
    """
    ink = tf.constant(image[None, ..., None].astype(np.float32) / 255)
    shares = (tf.range(steps, dtype=tf.float32) + 0.5) / steps
    way = shares[:, None, None, None] * ink
    with tf.GradientTape() as tape:
        tape.watch(way)
        evidence = log_odds(network, way, target, temperature)
    gradient = tape.gradient(evidence, way)
    heat: NDArray[np.float32] = (ink * tf.reduce_mean(gradient, axis=0)).numpy()[0, ..., 0]
    return heat


def log_odds(network: keras.Model, ink: Any, target: int, temperature: float = 1.0) -> Any:
    """Log-odds of a class, a tensor (n,), for images (n, 28, 28, 1), ink from 0 to 1."""
    logits = network(ink, training=False) / temperature
    others = tf.concat([logits[:, :target], logits[:, target + 1 :]], axis=1)
    return logits[:, target] - tf.reduce_logsumexp(others, axis=1)


def load_network(folder: Path) -> keras.Model:
    """Load the trained network from an artefact's folder.

    Raises:
        FileNotFoundError: There is none.
    """
    path = folder / NETWORK
    if not path.is_file():
        raise FileNotFoundError(path)
    return keras.saving.load_model(path, compile=False)
