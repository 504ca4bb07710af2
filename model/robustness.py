"""Bends real images step by step, to see how much a classifier stands."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Images = NDArray[np.uint8]

_SEED = 1


@dataclass(frozen=True)
class Hardship:
    """One way to make images harder to read.

    Attributes:
        unit: Of the strengths.
        strengths: From none to much.
        bend: Makes images of images float32 (n, 28, 28), ink from 0 to 255, and a strength.
    """

    unit: str
    strengths: tuple[float, ...]
    bend: Callable[[NDArray[np.float32], float], NDArray[Any]]


def bent(hardship: Hardship, images: Images) -> Iterator[tuple[float, Images]]:
    """Images at each of a hardship's strengths.

    Args:
        hardship: One of `HARDSHIPS`.
        images: uint8 (n, 28, 28).

    Yields:
        The strength, and uint8 (n, 28, 28).
    """
    for strength in hardship.strengths:
        made = hardship.bend(images.astype(np.float32), strength) if strength else images
        yield strength, np.clip(np.rint(made), 0, 255).astype(np.uint8)


def _shift(images: NDArray[np.float32], pixels: float) -> NDArray[Any]:
    """A quarter of the images each way along the axes."""
    moved = images.copy()
    for quarter, (down, right) in enumerate([(1, 0), (-1, 0), (0, 1), (0, -1)]):
        part = slice(quarter, None, 4)
        moved[part] = ndimage.shift(images[part], (0, down * pixels, right * pixels), order=1)
    return moved


def _rotate(images: NDArray[np.float32], degrees: float) -> NDArray[Any]:
    """Half of the images each way."""
    turned = images.copy()
    for half, angle in enumerate((degrees, -degrees)):
        part = slice(half, None, 2)
        turned[part] = ndimage.rotate(images[part], angle, axes=(2, 1), reshape=False, order=1)
    return turned


def _noise(images: NDArray[np.float32], deviation: float) -> NDArray[Any]:
    random = np.random.default_rng(_SEED)
    return images + random.normal(0, deviation, images.shape)


def _blur(images: NDArray[np.float32], pixels: float) -> NDArray[Any]:
    blurred: NDArray[Any] = ndimage.gaussian_filter(images, (0, pixels, pixels))
    return blurred


def _thicken(images: NDArray[np.float32], steps: float) -> NDArray[Any]:
    """A whole step makes each stroke a pixel thicker on every side; below 0, thinner."""
    cross = ndimage.generate_binary_structure(2, 1)[None]
    change = ndimage.grey_dilation if steps > 0 else ndimage.grey_erosion
    whole: NDArray[Any] = change(images, footprint=cross)
    return images + abs(steps) * (whole - images)


HARDSHIPS: dict[str, Hardship] = {
    "shift": Hardship("pixels along an axis", (0, 1, 2, 3, 4, 5, 6), _shift),
    "rotation": Hardship("degrees", (0, 5, 10, 15, 20, 30, 40), _rotate),
    "noise": Hardship("deviation of ink, of 255", (0, 16, 32, 48, 64, 96, 128), _noise),
    "blur": Hardship("standard deviation in pixels", (0, 0.5, 0.75, 1, 1.5, 2, 2.5), _blur),
    "thickness": Hardship(
        "pixels more on each side", (-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1), _thicken
    ),
}
"""What images go through."""
