"""Distorts real images step by step, to test the robustness of a classifier."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Images = NDArray[np.uint8]

_SEED = 1


@dataclass(frozen=True)
class Distortion:
    """A way to make images harder to read.

    Attributes:
        unit: unit of the strengths.
        strengths: strengths to measure, in the unit; 0 changes nothing.
        apply: distorts images float32 (n, 28, 28), ink from 0 to 255, with a strength.
    """

    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[NDArray[np.float32], float], NDArray[Any]]


def distorted(distortion: Distortion, images: Images) -> Iterator[tuple[float, Images]]:
    """Distorts images with each strength.

    Args:
        distortion: one of `DISTORTIONS`.
        images: uint8 (n, 28, 28).

    Yields:
        The strength, and the distorted images, uint8 (n, 28, 28).
    """
    for strength in distortion.strengths:
        made = distortion.apply(images.astype(np.float32), strength) if strength else images
        yield strength, np.clip(np.rint(made), 0, 255).astype(np.uint8)


def _shift(images: NDArray[np.float32], pixels: float) -> NDArray[Any]:
    """Shifts a quarter of the images in each direction along the axes."""
    moved = images.copy()
    for quarter, (down, right) in enumerate([(1, 0), (-1, 0), (0, 1), (0, -1)]):
        part = slice(quarter, None, 4)
        moved[part] = ndimage.shift(images[part], (0, down * pixels, right * pixels), order=1)
    return moved


def _rotate(images: NDArray[np.float32], degrees: float) -> NDArray[Any]:
    """Rotates half of the images in each direction."""
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
    """Makes each stroke `steps` pixels thicker on every side, or thinner for steps below 0."""
    cross = ndimage.generate_binary_structure(2, 1)[None]
    change = ndimage.grey_dilation if steps > 0 else ndimage.grey_erosion
    whole: NDArray[Any] = change(images, footprint=cross)
    return images + abs(steps) * (whole - images)


DISTORTIONS: dict[str, Distortion] = {
    "shift": Distortion("pixels along an axis", (0, 1, 2, 3, 4, 5, 6), _shift),
    "rotation": Distortion("degrees", (0, 5, 10, 15, 20, 30, 40), _rotate),
    "noise": Distortion("deviation of ink, of 255", (0, 16, 32, 48, 64, 96, 128), _noise),
    "blur": Distortion("standard deviation in pixels", (0, 0.5, 0.75, 1, 1.5, 2, 2.5), _blur),
    "thickness": Distortion(
        "pixels more on each side", (-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1), _thicken
    ),
}
"""The distortions, by name."""
