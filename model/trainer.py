"""One training run: weights, optimizer and moving average, step by step, with checkpoints."""

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
    """A run that can be stopped after any epoch, and joined again from its folder.

    Attributes:
        averaged: A Keras model with the moving average of the weights: what is served.
        epoch: Epochs that are done.
    """

    def __init__(
        self,
        recipe: Recipe,
        split: Split,
        folder: Path,
        teachers: Sequence[tuple[Network, keras.Model]] = (),
        strategy: Any = None,
    ) -> None:
        """Set a run up, at its last checkpoint if it has one.

        Args:
            recipe: How.
            split: What the weights are fitted to.
            folder: Where its checkpoints are.
            teachers: Networks with what `networks.build` made of them, trained.
            strategy: A `tf.distribute` strategy with one replica in each process; default
                this process alone.
        """
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
        # Every process has all weights, so that one can write them alone, and all read them.
        self._checkpoints = tf.train.CheckpointManager(
            checkpoint, str(folder / "checkpoints"), max_to_keep=1
        )
        if last := self._checkpoints.latest_checkpoint:
            checkpoint.restore(last)
        self.epoch = int(self._optimizer.iterations.numpy()) // self._steps
        self._train_step = tf.function(self._distributed_step)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what the run leaves behind."""
        return self._share.index == 0

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return self._steps

    def epochs(self) -> Iterator[Iterator[Any]]:
        """Train, epoch by epoch, to the recipe's end.

        Yields:
            For each epoch, an iterator that does a step each time and gives its mean
            loss as a tensor; it must be exhausted before the next epoch.
        """
        stream = iter(batches(self._recipe, self._split, self.epoch * self._steps, self._share))
        while self.epoch < self._recipe.epochs:
            yield (self._train_step(*next(stream)) for _ in range(self._steps))
            self.epoch += 1

    def save(self) -> None:
        """Write a checkpoint, for the chief to do; only the newest is kept.

        Raises:
            OSError: It can't be written.
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
            # A sum over processes, because the optimizer adds their gradients up.
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
        warmth = self._recipe.distillation_temperature
        each = [tf.nn.softmax(teacher(images) / warmth) for teacher in self._teachers]
        taught = tf.stop_gradient(tf.add_n(each) / len(each))
        # Hinton et al. 2015, section 2: gradients of soft targets shrink with the square.
        distance = tf.nn.softmax_cross_entropy_with_logits(taught, logits / warmth) * warmth**2
        share = self._recipe.distillation
        return (1 - share) * losses + share * distance

    def _average(self) -> None:
        """Move the averages, those of batch normalisation too, towards the weights."""
        done = tf.cast(self._optimizer.iterations, tf.float32)
        length = 1 + self._recipe.average * self._recipe.epochs * self._steps
        # While the run is young an average over its whole length would be its beginning.
        part = 1 / tf.minimum(length, 1 + 0.1 * done)
        for average, weight in zip(self.averaged.weights, self._model.weights, strict=True):
            average.assign(average + part * (tf.cast(weight, average.dtype) - average))


def _copy(network: Network, trained: keras.Model) -> keras.Model:
    """A trained network in the precision that is set now."""
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
    """The share of a split's images that a Keras model of ink from 0 to 1 gets right."""
    answers = logits(model, split).argmax(axis=1)
    return float(np.mean(answers == split.labels))


def logits(model: keras.Model, split: Split, size: int = 500) -> Any:
    """A model's logits float32 (n, 10) for a split's images."""
    ask, parts = _asking(model), []
    for part in np.array_split(split.images, max(1, math.ceil(len(split.images) / size))):
        parts.append(ask(tf.constant(part[..., None].astype(np.float32) / 255)).numpy())
    return np.concatenate(parts)


@functools.lru_cache(maxsize=4)  # a run is asked after many epochs, and tracing takes seconds
def _asking(model: keras.Model) -> Any:
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
    """This process's place among all of `TF_CONFIG`: the chief, then the workers."""
    roles = resolver.cluster_spec().as_dict()
    chiefs = len(roles.get("chief", ()))
    return int(resolver.task_id) + (0 if resolver.task_type == "chief" else chiefs)
