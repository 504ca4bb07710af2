"""Makes batches of training images in a fixed order, from any step on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from model.augment import NUMBERS, augment
from model.config import Recipe
from model.dataset import Split
from model.labels import CLASSES


@dataclass(frozen=True)
class Share:
    """The part of each batch that a process computes.

    Attributes:
        index: index of the process, from 0.
        count: number of processes.
    """

    index: int = 0
    count: int = 1


def steps_an_epoch(recipe: Recipe, split: Split) -> int:
    """Returns the number of whole batches in a split."""
    return len(split.labels) // recipe.batch


def batches(recipe: Recipe, split: Split, first_step: int, share: Share) -> Any:
    """Returns shuffled, augmented batches, in another order each epoch.

    The batch of a step depends only on the recipe's seed and the number of the step. So a run
    that resumes from a checkpoint, also with more or fewer processes, gets the same batches.

    Args:
        recipe: settings of the run.
        split: training images with their labels.
        first_step: number of the first step; the first step of a run is 0.
        share: the part of each batch that this process computes.

    Returns:
        A `tf.data.Dataset` of images float32 (batch / count, 28, 28, 1) and labels
        float32 (batch / count, 10), up to the recipe's last step.
    """
    images = tf.constant(split.images)
    labels = tf.constant(np.eye(CLASSES, dtype=np.float32)[split.labels])
    size = recipe.batch // share.count
    rows = slice(share.index * size, (share.index + 1) * size)

    def load(step: Any, chosen: Any) -> tuple[Any, Any]:
        shape = (recipe.batch, NUMBERS)
        numbers = tf.random.stateless_uniform(shape, tf.stack([recipe.seed, step]))[rows]
        ink = tf.cast(tf.gather(images, chosen[rows]), tf.float32) / 255
        return augment(ink, tf.gather(labels, chosen[rows]), numbers, recipe.augmentation)

    return (
        tf.data.Dataset.from_generator(
            lambda: _order(recipe, split, first_step),
            output_signature=(
                tf.TensorSpec((), tf.int32),
                tf.TensorSpec((recipe.batch,), tf.int32),
            ),
        )
        .map(load, num_parallel_calls=2, deterministic=True)
        .prefetch(4)
    )


def _order(
    recipe: Recipe, split: Split, first_step: int
) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Yields the number of each step from the first one on, with the indices of its images."""
    steps = steps_an_epoch(recipe, split)
    for epoch in range(first_step // steps, recipe.epochs):
        order = np.random.default_rng([recipe.seed, epoch]).permutation(len(split.labels))
        for step in range(max(first_step, epoch * steps), (epoch + 1) * steps):
            start = (step - epoch * steps) * recipe.batch
            yield step, order[start : start + recipe.batch].astype(np.int32)
