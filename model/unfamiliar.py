"""Images that stand for those of writers whom a network has never seen.

A validation image mostly has a near twin among the training images, from the same book. A
network is surer and righter there than on other writers' images, so that confidences settled
on all of them promise too much. Here are the half of them that resemble the training images
least, bent as training images are (calibration on bent validation images: Tomani et al.,
Post-hoc Uncertainty Calibration for Domain Drift Scenarios, 2021).
"""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.config import Recipe
from model.dataset import Split

_SHARE = 0.5
_BENDS = 4  # of each image: one alone leaves the temperature to chance by 2 %
_ROWS = 500  # compared at a time


def unfamiliar(validation: Split, train: Split, recipe: Recipe) -> Split:
    """Choose and bend validation images.

    Args:
        validation: To choose from.
        train: What the network was trained on.
        recipe: Its augmentation, less the mixing of two images, and its seed.

    Returns:
        A half of the validation images, each bent in four ways.
    """
    import tensorflow as tf

    from model.augment import NUMBERS, augment

    far = distances(validation.images, train.images)
    chosen = np.repeat(np.sort(np.argsort(-far, kind="stable")[: int(len(far) * _SHARE)]), _BENDS)
    ink = validation.images[chosen].astype(np.float32) / 255
    numbers = tf.random.stateless_uniform((len(chosen), NUMBERS), (recipe.seed, 0))
    how = dataclasses.replace(recipe.augmentation, cutmix=0.0, mixup=0.0)
    bent, _ = augment(ink, np.zeros((len(chosen), 1), np.float32), numbers, how)
    images = np.rint(np.clip(bent.numpy()[..., 0], 0, 1) * 255).astype(np.uint8)
    return Split(images, validation.labels[chosen])


def distances(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[Any]:
    """How far each image is from the nearest of others.

    Args:
        images: uint8 (n, 28, 28).
        others: uint8 (m, 28, 28).

    Returns:
        Euclidean distances float32 (n,), with ink from 0 to 1.
    """
    theirs = others.reshape(len(others), -1).astype(np.float32) / 255
    squares = (theirs**2).sum(axis=1)
    nearest = []
    for start in range(0, len(images), _ROWS):
        ours = images[start : start + _ROWS].reshape(-1, theirs.shape[1]).astype(np.float32) / 255
        apart = (ours**2).sum(axis=1) + (squares - 2 * ours @ theirs.T).min(axis=1)
        nearest.append(np.sqrt(np.maximum(apart, 0)))
    return np.concatenate(nearest)
