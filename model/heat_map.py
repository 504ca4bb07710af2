"""Draws an explanation over its image. Python 3.8 to 3.12."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SCALE = 12
"""Side of an image's pixel in the enlarged picture, in pixels."""

FOR = (213, 94, 0)
AGAINST = (0, 114, 178)
"""Colours of evidence for and against a class: vermilion and blue of Okabe and Ito, Color
Universal Design, 2008. People who confuse red and green can tell the two apart."""

_INK = 0.6  # darkness of full ink, from white (0) to black (1)
_TINT = 0.9  # largest share of the colour in a pixel


def overlay(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> Image.Image:
    """Draws strokes in grey on white, tinted by the explanation.

    Args:
        image: uint8 (28, 28), ink from 0 to 255.
        heat: float32 (28, 28), above 0 for the class (red), below 0 against the class (blue).
            The largest absolute value gets the full tint.

    Returns:
        An RGB picture of 336 x 336 pixels.
    """
    ink = np.clip(_enlarged(image) / 255, 0, 1)[..., None]
    paper = 255 * (1 - _INK * ink)
    large = _enlarged(heat)
    share = np.clip(large / max(float(np.abs(heat).max()), 1e-9), -1, 1)[..., None]
    tint = np.where(share > 0, np.array(FOR), np.array(AGAINST))
    # Tinted paper stays pale, so that the strokes remain visible.
    strength = _TINT * np.abs(share) * (0.5 + 0.5 * ink)
    drawn = (1 - strength) * paper + strength * tint
    return Image.fromarray(np.rint(drawn).astype(np.uint8))


def png(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> bytes:
    """Returns the picture of `overlay` as a PNG file."""
    sink = io.BytesIO()
    overlay(image, heat).save(sink, "PNG")
    return sink.getvalue()


def _enlarged(values: NDArray[Any]) -> NDArray[np.float32]:
    height, width = values.shape
    picture = Image.fromarray(values.astype(np.float32))
    large = picture.resize((width * SCALE, height * SCALE), Image.Resampling.BICUBIC)
    return np.asarray(large, dtype=np.float32)
