"""Explains which parts of an image are evidence for a class or against it. Python 3.8 to 3.12.

Occlusion (Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014) works
with any model. The method measures how much the answer changes without a part of the image.
"""

import functools
from typing import Callable, Optional

import numpy as np
from numpy.typing import NDArray

SIDE = 28
PATCH = 5
"""Side of the cleared square, in pixels: about the width of a stroke."""

STRIDE = 2
"""Distance between neighbouring squares, in pixels."""

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""A model: from uint8 (n, 28, 28), ink from 0 to 255, to probabilities float32 (n, 10)."""

_MIN_PROBABILITY = 1e-7


def occlusion(
    predict: Predict, image: NDArray[np.uint8], target: Optional[int] = None
) -> NDArray[np.float32]:
    """Explains an answer by clearing one square of the image after the other.

    The measure is the log-odds of the class (the weight of evidence of Robnik-Sikonja and
    Kononenko, 2008). Near 1 a probability hardly changes with evidence against the class, but
    its log-odds do.

    Args:
        predict: the model; it is called once, with 257 images.
        image: uint8 (28, 28), ink from 0 to 255.
        target: index of the class to explain; default the most probable class.

    Returns:
        float32 (28, 28): mean loss of log-odds over the cleared squares that cover a pixel. A
        value above 0 is evidence for the class, a value below 0 is evidence against the class.
    """
    masks = _masks()
    probabilities = predict(np.concatenate([image[None], np.where(masks, np.uint8(0), image)]))
    chosen = int(probabilities[0].argmax()) if target is None else target
    whole, *without = log_odds(probabilities, chosen)
    lost = whole - np.array(without)
    heat: NDArray[np.float32] = np.tensordot(lost, masks, 1) / masks.sum(axis=0)
    return heat.astype(np.float32)


def log_odds(probabilities: NDArray[np.float32], target: int) -> NDArray[np.float64]:
    """Returns the log-odds (n,) of a class from probabilities (n, 10)."""
    wide = probabilities.astype(np.float64)
    # A float32 close to 1 is rounded, so the sum of the others is more exact than 1 minus the
    # probability.
    others = np.delete(wide, target, axis=1).sum(axis=1)
    numerator = np.maximum(wide[:, target], _MIN_PROBABILITY)
    odds: NDArray[np.float64] = numerator / np.maximum(others, _MIN_PROBABILITY)
    return np.log(odds)


@functools.lru_cache(maxsize=1)
def _masks() -> NDArray[np.bool_]:
    """Returns the area of each square: bool (256, 28, 28). The edge of the image cuts some."""
    starts = np.arange(1 - PATCH, SIDE, STRIDE)[:, None]
    pixels = np.arange(SIDE)
    along = (starts <= pixels) & (pixels < starts + PATCH)
    masks: NDArray[np.bool_] = along[:, None, :, None] & along[None, :, None, :]
    return masks.reshape(-1, SIDE, SIDE)
