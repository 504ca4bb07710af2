"""Distorts batches of training images in TensorFlow, as different brushes and hands do.

Every image has its own row of random numbers. So any process of a distributed run distorts an
image in the same way.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from model.config import Augmentation

SIDE = 28
_KNOTS = 5  # knots of the elastic distortion along each axis
_MIN_SIDE = 3.0  # the smallest side of a rectangle, in pixels
NUMBERS = 16 + 2 * _KNOTS * _KNOTS
"""Number of random numbers for each image."""


def augment(images: Any, labels: Any, numbers: Any, how: Augmentation) -> tuple[Any, Any]:
    """Distorts each image of a batch in its own way, and mixes neighbours.

    Neighbours are the images 0 and 1, 2 and 3, and so on. Some images get a part of their
    neighbour, by cutmix (Yun et al. 2019) or mixup (Zhang et al. 2018). The neighbour's weight
    in mixup is uniform from 0 to a half.

    Args:
        images: float32 (n, 28, 28), ink from 0 to 1; n is even.
        labels: float32 (n, 10), probabilities.
        numbers: float32 (n, NUMBERS), uniform from 0 to 1.
        how: strength of each distortion.

    Returns:
        Images float32 (n, 28, 28, 1) and labels float32 (n, 10), on the same scales as before.
    """
    images = _thicken(_warp(images, numbers, how), numbers[:, 6:8], how.thicken)
    images, labels = _holes(images, labels, numbers[:, 8:13], how)
    return _mixup(images, labels, numbers[:, 13:15], how.mixup)


def _warp(images: Any, numbers: Any, how: Augmentation) -> Any:
    """Rotates, stretches, slants, shifts and bends images, with one bilinear sampling."""
    knots = tf.reshape(numbers[:, -2 * _KNOTS * _KNOTS :], (-1, 2, _KNOTS, _KNOTS)) * 2 - 1
    base = tf.constant(_spline_basis())
    bend = how.elastic * tf.einsum("yk,ndkl,xl->ndyx", base, knots, base)
    turn, wide, high, slant, right, down = tf.unstack(numbers[:, :6, None, None] * 2 - 1, axis=1)
    turn *= how.rotation * np.pi / 180
    wide, high = tf.exp(how.scale * wide), tf.exp(how.scale * high)
    slant *= how.shear
    at = tf.range(SIDE, dtype=tf.float32) - (SIDE - 1) / 2
    y, x = at[None, :, None], at[None, None, :]
    x_slanted = x + slant * y
    from_x = wide * (tf.cos(turn) * x_slanted - tf.sin(turn) * y) + how.shift * right + bend[:, 0]
    from_y = high * (tf.sin(turn) * x_slanted + tf.cos(turn) * y) + how.shift * down + bend[:, 1]
    return _sample(images, from_x + (SIDE - 1) / 2, from_y + (SIDE - 1) / 2)


def _sample(images: Any, x: Any, y: Any) -> Any:
    """Samples images at positions between pixels; positions outside an image have no ink."""
    padded = SIDE + 3
    flat = tf.reshape(tf.pad(images, ((0, 0), (1, 2), (1, 2))), (-1, padded * padded))
    x = tf.clip_by_value(x + 1, 0.0, SIDE + 1.0)
    y = tf.clip_by_value(y + 1, 0.0, SIDE + 1.0)
    left, top = tf.floor(x), tf.floor(y)
    x, y = x - left, y - top
    first = tf.cast(top * padded + left, tf.int32)

    def pick(offset: int) -> Any:
        indices = tf.reshape(first + offset, (-1, SIDE * SIDE))
        return tf.reshape(tf.gather(flat, indices, batch_dims=1), (-1, SIDE, SIDE))

    above = pick(0) * (1 - x) + pick(1) * x
    below = pick(padded) * (1 - x) + pick(padded + 1) * x
    return above * (1 - y) + below * y


def _spline_basis() -> NDArray[np.float32]:
    """Returns weights (28, knots) of cubic B-splines over the picture's side."""
    at = np.linspace(0, _KNOTS - 1, SIDE)[:, None] - np.arange(_KNOTS)
    far = np.abs(at)
    near = 2 / 3 - far**2 + far**3 / 2
    wide = np.maximum(2 - far, 0) ** 3 / 6
    weights = np.where(far < 1, near, wide)
    basis: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return basis


def _thicken(images: Any, numbers: Any, share: float) -> Any:
    """Blends some images with their dilation, and others with their erosion."""
    pictures = images[..., None]
    chance, amount = tf.unstack(numbers[:, :, None, None], axis=1)
    thick = tf.nn.max_pool2d(pictures, 3, 1, "SAME")[..., 0]
    thin = -tf.nn.max_pool2d(-pictures, 2, 1, "SAME")[..., 0]
    other = tf.where(chance < share / 2, thick, tf.where(chance < share, thin, images))
    return images + 0.8 * amount * (other - images)


def _holes(images: Any, labels: Any, numbers: Any, how: Augmentation) -> tuple[Any, Any]:
    """Clears a rectangle of some images, as worm holes do, or fills it from the neighbour.

    The labels of a filled image are mixed with the neighbour's labels. The weight of the
    neighbour's labels is its share of the ink.
    """
    chance, *rest = tf.unstack(numbers, axis=1)
    wide, high, x, y = rest

    def span(side: Any, centre: Any) -> Any:
        side = _MIN_SIDE + side * (how.hole_side - _MIN_SIDE)
        start = centre * SIDE - side / 2
        at = tf.range(SIDE, dtype=tf.float32)
        return (at >= start[:, None]) & (at < (start + side)[:, None])

    hole = span(high, y)[:, :, None] & span(wide, x)[:, None, :]
    shows = chance < how.cutmix
    blanks = (chance >= how.cutmix) & (chance < how.cutmix + how.erase)
    other = _neighbours(images)
    hole_ink = tf.where(shows[:, None, None], other, tf.zeros_like(images))
    holed = tf.where(hole & (shows | blanks)[:, None, None], hole_ink, images)
    ink = tf.reduce_sum(holed, (1, 2)) + 1e-3
    foreign = tf.reduce_sum(tf.where(hole, other, tf.zeros_like(other)), (1, 2)) / ink
    share = tf.where(shows, foreign, tf.zeros_like(foreign))[:, None]
    return holed, labels * (1 - share) + _neighbours(labels) * share


def _mixup(images: Any, labels: Any, numbers: Any, share: float) -> tuple[Any, Any]:
    amount = tf.where(numbers[:, 0] < share, numbers[:, 1] / 2, tf.zeros_like(numbers[:, 0]))
    images += amount[:, None, None] * (_neighbours(images) - images)
    labels += amount[:, None] * (_neighbours(labels) - labels)
    return images[..., None], labels


def _neighbours(values: Any) -> Any:
    """Returns the values with rows 0 and 1 swapped, rows 2 and 3, and so on."""
    shape = tf.shape(values)
    pairs = tf.reshape(values, tf.concat([[shape[0] // 2, 2], shape[1:]], axis=0))
    return tf.reshape(tf.reverse(pairs, axis=[1]), shape)
