"""Selects images that resemble those of unknown writers.

Most validation images have a near twin from the same book among the training images. On such
images the network is more confident and more often right than on other writers' images. So
thresholds from all validation images would promise too much. The selection is the half that
resembles the training images least, distorted as training images are. Calibration on distorted
validation images is from Tomani et al., Post-hoc Uncertainty Calibration for Domain Drift
Scenarios, 2021.
"""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.config import Recipe
from model.dataset import Split

_SHARE = 0.5
_COPIES = 4  # distorted copies of each image; with one copy the temperature varies by 2 %
_ROWS = 500  # images compared at once


def unfamiliar(validation: Split, train: Split, recipe: Recipe) -> Split:
    """Selects and distorts validation images.

    Args:
        validation: images to select from.
        train: images that the network was trained on.
        recipe: recipe of the network; its augmentation distorts the images, without mixup and
            cutmix.

    Returns:
        Half of the validation images, each as four distorted copies with the label.
    """
    import tensorflow as tf

    from model.augment import NUMBERS, augment

    far = distances(validation.images, train.images)
    chosen = np.repeat(np.sort(np.argsort(-far, kind="stable")[: int(len(far) * _SHARE)]), _COPIES)
    ink = validation.images[chosen].astype(np.float32) / 255
    numbers = tf.random.stateless_uniform((len(chosen), NUMBERS), (recipe.seed, 0))
    how = dataclasses.replace(recipe.augmentation, cutmix=0.0, mixup=0.0)
    distorted, _ = augment(ink, np.zeros((len(chosen), 1), np.float32), numbers, how)
    images = np.rint(np.clip(distorted.numpy()[..., 0], 0, 1) * 255).astype(np.uint8)
    return Split(images, validation.labels[chosen])


def distances(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[Any]:
    """Returns each image's distance to the nearest of other images.

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
