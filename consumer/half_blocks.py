"""Draws images as text, with two pixels in each character cell."""

from __future__ import annotations

from functools import cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.style import Style
from rich.text import Text

_MIDDLE = 127


def half_blocks(image: NDArray[np.uint8], side: int) -> Text:
    """Draws an image in half-block characters.

    Args:
        image: uint8 (28, 28); 0 is background and 255 full ink.
        side: width and height of the drawing, in pixels: 28, 14, 4 or 2.

    Returns:
        `side / 2` lines of `side` characters.
    """
    step = image.shape[0] // side
    small = image.reshape(side, step, side, step).mean(axis=(1, 3))
    # Sixteen shades are enough at this size. With fewer shades, more neighbouring cells are alike,
    # and the text is shorter.
    shades = (small // 16 * 17).astype(int)
    lines = []
    for top, bottom in zip(shades[0::2].tolist(), shades[1::2].tolist(), strict=True):
        line = Text()
        for (upper, lower), run in groupby(zip(top, bottom, strict=True)):
            line.append(_block(upper, lower) * sum(1 for _ in run), _style(upper, lower))
        lines.append(line)
    return Text("\n", no_wrap=True).join(lines)


def blank(side: int) -> Text:
    """Returns a placeholder for an image that has not been fetched."""
    return Text("\n".join("·" * side for _ in range(side // 2)), style="dim", no_wrap=True)


def _block(upper: int, lower: int) -> str:
    """Returns a character that shows the shape of the image even without colours."""
    if upper == lower:
        return "█" if upper > _MIDDLE else " "
    return "▀" if upper > lower else "▄"


@cache
def _style(upper: int, lower: int) -> Style:
    """Returns a style with the brighter shade as text colour, and the other as background."""
    ink, behind = max(upper, lower), min(upper, lower)
    return Style(
        color=Color.from_rgb(ink, ink, ink), bgcolor=Color.from_rgb(behind, behind, behind)
    )
