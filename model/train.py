"""Trains the shipped network: `python -m model.train`.

Only the training split is fitted to. The validation split chooses the settings and the
calibration; the test split is looked at by `model.evaluate` alone.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model import dataset
from model.config import SHIPPED, Training
from model.dataset import Split

if TYPE_CHECKING:
    import keras

RUNS = Path(__file__).resolve().parent.parent / "runs"
ADVICE = "training needs TensorFlow: pip install -r requirements-train.txt"


def train(settings: Training, train_split: Split, validation: Split) -> "keras.Model":
    """Train a network.

    Args:
        settings: How.
        train_split: What the weights are fitted to.
        validation: What progress is reported on.

    Returns:
        A model from float32 (n, 28, 28, 1), ink from 0 to 1, to logits, with the
        moving average of the weights of the run.
    """
    import keras

    from model import networks

    keras.utils.set_random_seed(settings.seed)
    model = networks.build(settings.network)
    steps = settings.epochs * (len(train_split.labels) // settings.batch)
    warmup = int(settings.warmup * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 100,
        decay_steps=steps - warmup,
        warmup_target=settings.learning_rate,
        warmup_steps=warmup,
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(
            schedule,
            weight_decay=settings.weight_decay,
            use_ema=True,
            ema_momentum=1 - 1 / (1 + settings.average * steps),
        ),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=settings.label_smoothing
        ),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    model.fit(
        _batches(settings, train_split),
        validation_data=_as_tensors(validation),
        epochs=settings.epochs,
        validation_freq=max(1, settings.epochs // 20),
        verbose=2,
    )
    return model


def accuracy(model: "keras.Model", split: Split) -> float:
    """The share of a split's images that a Keras model of ink from 0 to 1 gets right."""
    images, _ = _as_tensors(split)
    answers = model.predict(images, batch_size=512, verbose=0).argmax(axis=1)
    return float(np.mean(answers == split.labels))


def _as_tensors(split: Split) -> tuple[Any, Any]:
    from model.labels import CLASSES

    return split.images[..., None].astype(np.float32) / 255, np.eye(CLASSES)[split.labels]


def _batches(settings: Training, split: Split) -> Any:
    """Shuffled, augmented batches of equal size, in another order each epoch."""
    import tensorflow as tf

    from model.augment import augment

    batches = tf.data.Dataset.from_tensor_slices(_as_tensors(split))
    batches = batches.shuffle(len(split.labels), seed=settings.seed)
    batches = batches.batch(settings.batch, drop_remainder=True)
    return batches.map(
        lambda images, labels: (augment(images, settings.augmentation), labels),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    ).prefetch(4)


def main() -> int:
    """Train with the shipped settings and save the Keras model."""
    parser = argparse.ArgumentParser(prog="python -m model.train", description=__doc__)
    parser.add_argument(
        "--epochs", type=int, default=SHIPPED.epochs, help="passes over the data (%(default)s)"
    )
    parser.add_argument(
        "--limit", type=int, default=None, help="train on the first LIMIT images only"
    )
    parser.add_argument(
        "--out", type=Path, default=RUNS / "kmnist.keras", help="where to save (%(default)s)"
    )
    arguments = parser.parse_args()
    settings = dataclasses.replace(SHIPPED, epochs=arguments.epochs)
    try:
        split, validation = dataset.load_split("train"), dataset.load_split("validation")
        split = Split(split.images[: arguments.limit], split.labels[: arguments.limit])
        started = time.monotonic()
        model = train(settings, split, validation)
    except dataset.DatasetError as error:
        print(error, file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"{ADVICE} ({error})", file=sys.stderr)
        return 1
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    model.save(arguments.out)
    facts = {
        "settings": dataclasses.asdict(settings),
        "settings_digest": settings.digest(),
        "images": len(split.labels),
        "seconds": round(time.monotonic() - started),
        "validation_accuracy": accuracy(model, validation),
    }
    arguments.out.with_suffix(".json").write_text(json.dumps(facts) + "\n", encoding="utf-8")
    print(f"{arguments.out}: {facts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
