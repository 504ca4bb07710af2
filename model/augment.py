"""Bends training images the way brushes and scribes do, on whole batches in TensorFlow."""

from typing import Any

import tensorflow as tf

from model.config import Augmentation

SIDE = 28


def augment(images: Any, how: Augmentation) -> Any:
    """Distort a batch, each image in its own way.

    Args:
        images: float32 (n, 28, 28, 1), ink from 0 to 1.
        how: How far.

    Returns:
        Images of the same shape and scale.
    """
    images = _warp(images, how)
    images = _thicken(images, how.thicken)
    return _erase(images, how)


def _warp(images: Any, how: Augmentation) -> Any:
    """Turn, stretch, slant and move about the centre, with bilinear sampling."""
    n = tf.shape(images)[0]

    def spread(width: float) -> Any:
        return tf.random.uniform((n,), -width, width)

    turn = spread(how.rotation * 3.14159265 / 180)
    wide, high = tf.exp(spread(how.scale)), tf.exp(spread(how.scale))
    slant = spread(how.shear)
    cos, sin = tf.cos(turn), tf.sin(turn)
    a, b = wide * cos, wide * (slant * cos - sin)
    c, d = high * sin, high * (slant * sin + cos)
    centre = (SIDE - 1) / 2
    right = centre - a * centre - b * centre + spread(how.shift)
    down = centre - c * centre - d * centre + spread(how.shift)
    nothing = tf.zeros((n,))
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, right, c, d, down, nothing, nothing], axis=1),
        output_shape=(SIDE, SIDE),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def _thicken(images: Any, share: float) -> Any:
    """Blend some images with their dilation, others with their erosion."""
    n = tf.shape(images)[0]
    chance = tf.random.uniform((n, 1, 1, 1))
    amount = tf.random.uniform((n, 1, 1, 1), 0, 0.8)
    thick = tf.nn.max_pool2d(images, 3, 1, "SAME")
    thin = -tf.nn.max_pool2d(-images, 2, 1, "SAME")
    other = tf.where(chance < share / 2, thick, tf.where(chance < share, thin, images))
    return images + amount * (other - images)


def _erase(images: Any, how: Augmentation) -> Any:
    """Blank a rectangle of some images, as worm holes and stains do."""
    n = tf.shape(images)[0]

    def span() -> Any:
        side = tf.random.uniform((n, 1), 2, how.erase_side)
        start = tf.random.uniform((n, 1), 0, SIDE) - side / 2
        at = tf.range(SIDE, dtype=tf.float32)[None]
        return (at >= start) & (at < start + side)

    hole = span()[:, :, None, None] & span()[:, None, :, None]
    chosen = tf.random.uniform((n, 1, 1, 1)) < how.erase
    return tf.where(hole & chosen, 0.0, images)
