"""Draws an image as text, in which a character shows two pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCKS = np.array([" ", "▄", "▀", "█"])
_INK = 96


def draw(image: NDArray[np.uint8]) -> str:
    """Draws an image in half-block characters.

    Args:
        image: uint8 (height, width) with an even height; values above 96 are ink.

    Returns:
        `height / 2` lines of `width` characters.
    """
    ink = image > _INK
    blocks = _BLOCKS[2 * ink[0::2] + ink[1::2]]
    return "\n".join("".join(line) for line in blocks.tolist())
