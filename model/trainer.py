"""Trains a network step by step, with checkpoints and a moving average of the weights."""

import contextlib
import functools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from model import networks
from model.batches import Share, batches, steps_an_epoch
from model.config import Network, Recipe
from model.dataset import Split

_NOT_DECAYED = ["gamma", "beta", "bias"]


class Trainer:
    """A training run that can stop after any epoch and resume from its last checkpoint.

    Args:
        recipe: settings of the run.
        split: images that the weights are fitted to.
        folder: folder of the checkpoints.
        teachers: shape and trained network of each teacher.
        strategy: a `tf.distribute` strategy with one replica in each process; None trains in
            this process alone.

    Attributes:
        averaged: the Keras model to serve, with the moving average of the weights.
        epoch: number of completed epochs.
    """

    def __init__(
        self,
        recipe: Recipe,
        split: Split,
        folder: Path,
        teachers: Sequence[tuple[Network, keras.Model]] = (),
        strategy: Any = None,
    ) -> None:
        self._recipe, self._split = recipe, split
        self._strategy = strategy or tf.distribute.get_strategy()
        self._steps = steps_an_epoch(recipe, split)
        resolver = getattr(self._strategy, "cluster_resolver", None)
        count = self._strategy.num_replicas_in_sync
        self._share = Share(_rank(resolver) if count > 1 else 0, count)
        keras.utils.set_random_seed(recipe.seed)
        with self._strategy.scope():
            with _precision(recipe.precision):
                self._model = networks.build(recipe.network, synchronized=count > 1)
                self._teachers = [_copy(network, trained) for network, trained in teachers]
            self.averaged = networks.build(recipe.network)
            self.averaged.set_weights(self._model.get_weights())
            self._optimizer = _optimizer(recipe, recipe.epochs * self._steps)
            self._optimizer.build(self._model.trainable_variables)
            self._loss = keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=recipe.label_smoothing, reduction=None
            )
        checkpoint = tf.train.Checkpoint(
            model=self._model, averaged=self.averaged, optimizer=self._optimizer
        )
        # Every process has all weights. So only the chief writes checkpoints, and all processes
        # read them.
        self._checkpoints = tf.train.CheckpointManager(
            checkpoint, str(folder / "checkpoints"), max_to_keep=1
        )
        if last := self._checkpoints.latest_checkpoint:
            checkpoint.restore(last)
        self.epoch = int(self._optimizer.iterations.numpy()) // self._steps
        self._train_step = tf.function(self._distributed_step)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files of the run."""
        return self._share.index == 0

    @property
    def steps(self) -> int:
        """Number of steps in an epoch."""
        return self._steps

    def epochs(self) -> Iterator[Iterator[Any]]:
        """Trains epoch by epoch until the recipe's last one.

        Yields:
            For each epoch, an iterator over its steps. Each step trains and returns its mean
            loss as a tensor. The iterator must be exhausted before the next epoch.
        """
        stream = iter(batches(self._recipe, self._split, self.epoch * self._steps, self._share))
        while self.epoch < self._recipe.epochs:
            yield (self._train_step(*next(stream)) for _ in range(self._steps))
            self.epoch += 1

    def save(self) -> None:
        """Writes a checkpoint and deletes the previous one; only the chief may call this method.

        Raises:
            OSError: the checkpoint cannot be written.
        """
        try:
            self._checkpoints.save()
        except tf.errors.OpError as error:
            raise OSError(f"cannot write a checkpoint: {error.message}") from error

    def _distributed_step(self, images: Any, labels: Any) -> Any:
        loss = self._strategy.run(self._step, args=(images, labels))
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, loss, axis=None)

    def _step(self, images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = self._model(images, training=True)
            # The optimizer sums gradients over processes, so each loss is divided by their count.
            loss = tf.reduce_mean(self._losses(images, labels, logits)) / self._share.count
        variables = self._model.trainable_variables
        gradients = tape.gradient(loss, variables)
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self._average()
        return loss

    def _losses(self, images: Any, labels: Any, logits: Any) -> Any:
        losses = self._loss(labels, logits)
        if not self._teachers:
            return losses
        temperature = self._recipe.distillation_temperature
        each = [tf.nn.softmax(teacher(images) / temperature) for teacher in self._teachers]
        target = tf.stop_gradient(tf.add_n(each) / len(each))
        # The gradients of soft targets shrink with the square of the temperature (Hinton et al.
        # 2015, section 2).
        distance = tf.nn.softmax_cross_entropy_with_logits(target, logits / temperature)
        distance *= temperature**2
        share = self._recipe.distillation
        return (1 - share) * losses + share * distance

    def _average(self) -> None:
        """Moves the averages towards the weights, those of batch normalisation included."""
        done = tf.cast(self._optimizer.iterations, tf.float32)
        length = 1 + self._recipe.average * self._recipe.epochs * self._steps
        # Early in a run, an average of full length would still contain the initial weights.
        part = 1 / tf.minimum(length, 1 + 0.1 * done)
        for average, weight in zip(self.averaged.weights, self._model.weights, strict=True):
            average.assign(average + part * (tf.cast(weight, average.dtype) - average))


def _copy(network: Network, trained: keras.Model) -> keras.Model:
    """Returns a copy of a trained network in the current precision."""
    copy = networks.build(network)
    copy.set_weights(trained.get_weights())
    return copy


def _optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    warmup = max(1, int(recipe.warmup * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 100,
        decay_steps=max(1, steps - warmup),
        warmup_target=recipe.learning_rate,
        warmup_steps=warmup,
    )
    if recipe.optimizer == "adamw":
        made = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    else:
        made = keras.optimizers.SGD(
            rate, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
        )
    made.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return made


def accuracy(model: keras.Model, split: Split) -> float:
    """Returns the share of right answers of a Keras model, whose input is ink from 0 to 1."""
    answers = logits(model, split).argmax(axis=1)
    return float(np.mean(answers == split.labels))


def logits(model: keras.Model, split: Split, size: int = 500) -> Any:
    """Returns a model's logits float32 (n, 10) for a split's images.

    Args:
        model: a Keras model from ink from 0 to 1 to logits.
        split: the n images.
        size: maximum number of images in a call of the model.
    """
    predict, parts = _predict_function(model), []
    for part in np.array_split(split.images, max(1, math.ceil(len(split.images) / size))):
        parts.append(predict(tf.constant(part[..., None].astype(np.float32) / 255)).numpy())
    return np.concatenate(parts)


@functools.lru_cache(maxsize=4)  # tracing takes seconds, and a model predicts after many epochs
def _predict_function(model: keras.Model) -> Any:
    return tf.function(lambda pixels: model(pixels, training=False), reduce_retracing=True)


@contextlib.contextmanager
def _precision(policy: str) -> Iterator[None]:
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def _rank(resolver: Any) -> int:
    """Returns this process's rank in `TF_CONFIG`: the chief is first, then the workers."""
    roles = resolver.cluster_spec().as_dict()
    chiefs = len(roles.get("chief", ()))
    return int(resolver.task_id) + (0 if resolver.task_type == "chief" else chiefs)
