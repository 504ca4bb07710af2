"""Which parts of an image speak for a class, and which against it. Python 3.8 to 3.12.

Occlusion (Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014) asks
the model itself, whatever it is: a part matters as much as the answer changes without it.
"""

import functools
from typing import Callable, Optional

import numpy as np
from numpy.typing import NDArray

SIDE = 28
PATCH = 5
"""Side of the square that is blanked, in pixels: about the width of a stroke."""

STRIDE = 2

Ask = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""A model: from uint8 (n, 28, 28), ink from 0 to 255, to probabilities float32 (n, 10)."""

_LEAST = 1e-7


def occlusion(
    ask: Ask, image: NDArray[np.uint8], target: Optional[int] = None
) -> NDArray[np.float32]:
    """Explain an answer by blanking one part of the image after the other.

    What counts is the log-odds of the class (the weight of evidence of Robnik-Sikonja and
    Kononenko, 2008): a probability of 0.9999 hardly shows what speaks against it, its
    log-odds do.

    Args:
        ask: The model; it is asked once, about 257 images.
        image: uint8 (28, 28), ink from 0 to 255.
        target: The class to explain; default the most probable one.

    Returns:
        float32 (28, 28), in log-odds: how much of them is lost on average when a patch over
        the pixel is blanked. Above 0 the pixel speaks for the class, below against it.
    """
    masks = _masks()
    probabilities = ask(np.concatenate([image[None], np.where(masks, np.uint8(0), image)]))
    chosen = int(probabilities[0].argmax()) if target is None else target
    whole, *without = log_odds(probabilities, chosen)
    lost = whole - np.array(without)
    heat: NDArray[np.float32] = np.tensordot(lost, masks, 1) / masks.sum(axis=0)
    return heat.astype(np.float32)


def log_odds(probabilities: NDArray[np.float32], target: int) -> NDArray[np.float64]:
    """Log-odds (n,) of a class, by probabilities (n, 10)."""
    wide = probabilities.astype(np.float64)
    # Of a probability near 1 the others say more exactly what is missing.
    others = np.delete(wide, target, axis=1).sum(axis=1)
    odds: NDArray[np.float64] = np.maximum(wide[:, target], _LEAST) / np.maximum(others, _LEAST)
    return np.log(odds)


@functools.lru_cache(maxsize=1)
def _masks() -> NDArray[np.bool_]:
    """Where each patch lies: (patches, 28, 28), those that reach over the edge among them."""
    starts = np.arange(1 - PATCH, SIDE, STRIDE)[:, None]
    places = np.arange(SIDE)
    along = (starts <= places) & (places < starts + PATCH)
    masks: NDArray[np.bool_] = along[:, None, :, None] & along[None, :, None, :]
    return masks.reshape(-1, SIDE, SIDE)
