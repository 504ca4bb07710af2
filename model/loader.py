"""Loads the shipped classifiers for serving; runs on Python 3.8 to 3.12.

`Classifier` runs the TFLite artefact, `Baseline` the scikit-learn one. Both have the same
methods, so that a wrapper can hold either.
"""

import contextlib
import importlib
import json
import threading
import zipfile
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Union

import numpy as np
from numpy.typing import NDArray

from model.artefacts import SHIPPED, ArtefactError, read_artefact
from model.labels import CLASSES

SIDE = 28
FAST = SHIPPED / "fast"
BASELINE = SHIPPED / "baseline"

_BATCHES = (256, 64, 8, 1)
"""Batch sizes that the interpreters are set up for, largest first.

A change of an interpreter's batch size costs up to 10 ms. So each size has its own interpreter,
and any batch is split into these sizes. Memory does not grow with the batch. The network alone is
fastest in batches of 4 to 24, which fit into a core's own cache: 26 microseconds an image instead
of 30. But each call releases Python's global lock, and must then wait until a worker's I/O thread
gives the lock back. While the main thread and the I/O thread are both busy, batches of 256 answer a
backlog up to a tenth faster than batches of 64.
"""

Images = Union[NDArray[np.uint8], NDArray[np.float32]]


class Answers(NamedTuple):
    """A model's answers to images.

    Attributes:
        probabilities: float32 (n, 10), each row sums to 1, in the order of `model.labels`.
        outlier: float32 (n,), outlier scores from 0 to 1; None if the model computes none.
    """

    probabilities: NDArray[np.float32]
    outlier: Optional[NDArray[np.float32]]


class Classifier:
    """A TFLite network that many threads may call.

    Args:
        content: a TFLite model from float32 (n, 28, 28, 1) to float32 (n, 10), and
            optionally to outlier scores float32 (n, 1).
        threads: number of cores for one call.
        interpreter: the interpreter class; default the first installed one of
            tflite_runtime, ai_edge_litert and tensorflow.

    Raises:
        ArtefactError: `content` is no TFLite model with these inputs and outputs.
    """

    def __init__(self, content: bytes, threads: int = 1, interpreter: Any = None) -> None:
        self._lock = threading.Lock()
        kind = interpreter or _installed_interpreter()
        try:
            self._interpreters = {
                size: _FixedBatch(kind, content, size, threads) for size in _BATCHES
            }
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ArtefactError(f"not a TFLite model of 28 x 28 images: {reason}") from error
        self._has_outlier = all(each.has_outlier for each in self._interpreters.values())

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """Returns the probabilities of `answers`."""
        return self.answers(images).probabilities

    def answers(self, images: Images) -> Answers:
        """Classifies images.

        Args:
            images: uint8 or float32 (n, 28, 28), 0 is background and 255 full ink; n may
                be 0.

        Returns:
            A row for each image, independent of the other images.

        Raises:
            ValueError: the images have another shape.
        """
        _check_shape(images)
        probabilities = np.empty((len(images), CLASSES), np.float32)
        outlier = np.empty((len(images), 1), np.float32) if self._has_outlier else None
        start = 0
        with self._lock:
            for size, interpreter in self._interpreters.items():
                while len(images) - start >= size:
                    rows = slice(start, start + size)
                    interpreter.run(images[rows], probabilities[rows], _part(outlier, rows))
                    start += size
        return Answers(probabilities, None if outlier is None else outlier[:, 0])


class Baseline:
    """A scikit-learn classifier that many threads may call.

    The classifier is loaded with skops, which creates only types that skops trusts, such as those
    of scikit-learn and numpy. A pickle could run code.

    Args:
        content: a file of `skops.io` with a classifier of (n, 784) pixels.

    Raises:
        ArtefactError: `content` is no file of skops, or contains types that skops does not trust.
    """

    def __init__(self, content: bytes) -> None:
        import skops.io
        from skops.io.exceptions import UntrustedTypesFoundException

        try:
            self._classifier = skops.io.loads(content, trusted=[])
        except (
            zipfile.BadZipFile,
            UntrustedTypesFoundException,
            KeyError,
            json.JSONDecodeError,
        ) as error:
            raise ArtefactError(f"not a baseline of this project: {error}") from error

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """Returns the probabilities of `answers`."""
        return self.answers(images).probabilities

    def answers(self, images: Images) -> Answers:
        """Classifies images as `Classifier.answers` does, without outlier scores."""
        return Answers(self._probabilities(images), None)

    def _probabilities(self, images: Images) -> NDArray[np.float32]:
        _check_shape(images)
        if not len(images):
            return np.empty((0, CLASSES), np.float32)
        rows = images.reshape(len(images), SIDE * SIDE).astype(np.float32) / np.float32(255)
        answers: NDArray[np.float32] = self._classifier.predict_proba(rows).astype(np.float32)
        return answers


def load_classifier(folder: Path = FAST, threads: int = 1) -> Classifier:
    """Loads a network.

    Args:
        folder: folder of the artefact; default the shipped variant `fast`.
        threads: number of cores for one call. Several workers use several cores better than one
            worker with several threads.

    Raises:
        ArtefactError: the artefact is missing, broken or not a network of this project.
    """
    return Classifier(read_artefact(folder).content, threads)


def load_baseline(folder: Path = BASELINE) -> Baseline:
    """Loads the scikit-learn baseline.

    Args:
        folder: folder of the artefact; default the shipped one.

    Raises:
        ArtefactError: the artefact is missing, broken or not a baseline of this project.
    """
    return Baseline(read_artefact(folder).content)


class _FixedBatch:
    """An interpreter for one batch size.

    Attributes:
        has_outlier: whether the model has the output of outlier scores.
    """

    def __init__(self, kind: Any, content: bytes, size: int, threads: int) -> None:
        self._interpreter = kind(model_content=content, num_threads=threads)
        tensors = self._interpreter.get_input_details() + self._interpreter.get_output_details()
        if any(each["dtype"] is not np.float32 for each in tensors):
            raise ValueError(f"not all of {[each['name'] for each in tensors]} are float32")
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        self._interpreter.resize_tensor_input(self._input, [size, SIDE, SIDE, 1])
        self._interpreter.allocate_tensors()
        # Converters change the order and the names of outputs, so the shape identifies them.
        outputs: Dict[Any, int] = {
            tuple(each["shape"]): each["index"] for each in self._interpreter.get_output_details()
        }
        if (size, CLASSES) not in outputs:
            raise ValueError(f"its outputs are {list(outputs)}, without {(size, CLASSES)}")
        self._probabilities = outputs[size, CLASSES]
        self._outlier = outputs.get((size, 1))
        self.has_outlier = self._outlier is not None

    def run(
        self,
        images: Images,
        probabilities: NDArray[np.float32],
        outlier: Optional[NDArray[np.float32]],
    ) -> None:
        """Writes the answers for `size` images into the arrays."""
        # The assignment converts numbers without an intermediate copy. The view of the
        # interpreter's memory is in no variable, because no view may exist while the interpreter
        # runs.
        self._interpreter.tensor(self._input)()[..., 0] = images
        self._interpreter.invoke()
        probabilities[:] = self._interpreter.get_tensor(self._probabilities)
        if outlier is not None:
            outlier[:] = self._interpreter.get_tensor(self._outlier)


def _part(values: Optional[NDArray[np.float32]], rows: slice) -> Optional[NDArray[np.float32]]:
    return None if values is None else values[rows]


def _installed_interpreter() -> Any:
    """Returns the interpreter class of the smallest installed package."""
    for package in ("tflite_runtime", "ai_edge_litert"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(package + ".interpreter").Interpreter
    return importlib.import_module("tensorflow").lite.Interpreter


def _check_shape(images: Images) -> None:
    if images.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"expected images of shape (n, 28, 28), got {images.shape}")
