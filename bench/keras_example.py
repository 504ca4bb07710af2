"""The convolutional network of Keras's own example, in the plainest of Seldon wrapper classes.

https://keras.io/examples/vision/mnist_convnet/ has the like for digits. Its weights are random: how
fast it is does not depend on them. It needs TensorFlow, so `.venv-train` runs it.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

_BATCH = 256
_IMAGES = 16 * 1024


class KerasExample:
    """Only `load` and `predict`, as a tutorial would have it, and a word that it is row-wise."""

    row_wise = True

    def load(self) -> None:
        """Build the network."""
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
        """Probabilities float32 (n, 10) of images (n, 28, 28) from 0 to 255."""
        return self._model.predict_on_batch(np.asarray(X)[..., None] / 255.0)


def main() -> None:
    """Print how many images a second the class takes by itself, 256 at a time."""
    served = KerasExample()
    served.load()
    images = np.zeros((_BATCH, 28, 28), np.int64)
    served.predict(images, ())
    started = time.perf_counter()
    for _ in range(_IMAGES // _BATCH):
        served.predict(images, ())
    print(_IMAGES / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
