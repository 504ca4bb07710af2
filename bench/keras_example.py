"""Keras's own example of a convolutional network, in a minimal Seldon wrapper class.

https://keras.io/examples/vision/mnist_convnet/ has this network for digits. Here the weights are
random, because the speed does not depend on the weights. The class needs TensorFlow, so it runs in
`.venv-train`.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

_BATCH = 256
_IMAGES = 16 * 1024


class KerasExample:
    """A row-wise class with only `load` and `predict`, as in a tutorial."""

    row_wise = True

    def load(self) -> None:
        """Builds the network."""
        import keras

        self._model = keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                keras.layers.Conv2D(32, 3, activation="relu"),
                keras.layers.Conv2D(64, 3, activation="relu"),
                keras.layers.MaxPooling2D(2),
                keras.layers.Flatten(),
                keras.layers.Dense(128, activation="relu"),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        """Returns probabilities float32 (n, 10) for images (n, 28, 28) from 0 to 255."""
        return self._model.predict_on_batch(np.asarray(X)[..., None] / 255.0)


def main() -> None:
    """Prints the images a second that the class answers without Kafka, in batches of 256."""
    user_model = KerasExample()
    user_model.load()
    images = np.zeros((_BATCH, 28, 28), np.int64)
    user_model.predict(images, ())
    started = time.perf_counter()
    for _ in range(_IMAGES // _BATCH):
        user_model.predict(images, ())
    print(_IMAGES / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
