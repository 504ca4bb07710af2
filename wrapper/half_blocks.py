"""Draws an image with characters, two pixels each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCKS = np.array([" ", "▄", "▀", "█"])
_INK = 96


def draw(image: NDArray[np.uint8]) -> str:
    """Draw an image in half-block characters.

    Args:
        image: uint8 (height, width), height even; what is above 96 is ink.

    Returns:
        Lines of `width` characters, half as many as there are rows of pixels.
    """
    ink = image > _INK
    blocks = _BLOCKS[2 * ink[0::2] + ink[1::2]]
    return "\n".join("".join(line) for line in blocks.tolist())
