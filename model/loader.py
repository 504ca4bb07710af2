"""Loads the shipped classifiers for serving; runs on Python 3.8 to 3.12.

Both kinds answer the same question in the same way, so that a wrapper can hold either:
`Classifier` runs the TFLite artefact, `Baseline` the scikit-learn one.
"""

import contextlib
import hashlib
import importlib
import threading
import zipfile
from pathlib import Path
from typing import Any, Dict, Union

import numpy as np
from numpy.typing import NDArray

from model.labels import CLASSES

SIDE = 28
ARTEFACTS = Path(__file__).resolve().parent / "artefact"
NETWORK = ARTEFACTS / "kmnist.tflite"
BASELINE = ARTEFACTS / "baseline.skops"

ABSTAIN_BELOW = 0.5
"""A confidence below which an answer is as likely wrong as right, so a person should look.

The network's confidence is calibrated (by 0.4 % on the test images, see the metrics file).
It is below this for 0.4 % of the test images, and 98.7 % of the others are right.
"""

_BATCHES = (64, 8, 1)
"""Batch sizes that the interpreter is set up for, largest first.

An image costs the same in a batch of 1 as in one of 256 (26 and 22 microseconds of one
core), whereas a change of the batch size costs up to 10 ms. So each size keeps its own
interpreter, any batch is cut into these sizes, and memory does not grow with what is asked.
"""

Images = Union[NDArray[np.uint8], NDArray[np.float32]]


class ArtefactError(Exception):
    """A model file is missing or isn't one of ours; the message says what to do."""


class Classifier:
    """A TFLite network behind a lock, safe to call from many threads.

    Attributes:
        name: `kmnist-` and the first eight hex digits of the artefact's SHA-256.
    """

    def __init__(self, content: bytes, threads: int = 1, interpreter: Any = None) -> None:
        """Set up one interpreter for each batch size.

        Args:
            content: A TFLite model from float32 (n, 28, 28, 1) to float32 (n, 10).
            threads: Cores that one call may use.
            interpreter: The interpreter class; default the first that is installed of
                tflite_runtime, ai_edge_litert and tensorflow.

        Raises:
            ArtefactError: `content` is not such a model.
        """
        self.name = "kmnist-" + hashlib.sha256(content).hexdigest()[:8]
        self._lock = threading.Lock()
        kind = interpreter or _installed_interpreter()
        try:
            self._interpreters = {size: _Fixed(kind, content, size, threads) for size in _BATCHES}
        except (ValueError, RuntimeError) as error:
            raise ArtefactError(f"not a TFLite model of 28 x 28 images: {error}") from error

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """Classify images.

        Args:
            images: uint8 or float32 (n, 28, 28), 0 is background and 255 full ink; n may
                be 0.

        Returns:
            float32 (n, 10), each row sums to 1, in the order of `model.labels`. A row
            does not depend on the others.

        Raises:
            ValueError: The shape is another one.
        """
        _check_shape(images)
        pixels = np.ascontiguousarray(images, dtype=np.float32)[..., None]
        answers = np.empty((len(pixels), CLASSES), np.float32)
        start = 0
        with self._lock:
            for size, interpreter in self._interpreters.items():
                while len(pixels) - start >= size:
                    answers[start : start + size] = interpreter(pixels[start : start + size])
                    start += size
        return answers


class Baseline:
    """A scikit-learn classifier; its prediction keeps no state, so threads may share it.

    Attributes:
        name: `kmnist-baseline-` and the first eight hex digits of the artefact's SHA-256.
    """

    def __init__(self, content: bytes) -> None:
        """Load it without pickle: skops builds scikit-learn's and numpy's own types only.

        Args:
            content: A file of `skops.io` that holds a classifier of (n, 784) pixels.

        Raises:
            ArtefactError: `content` is no such file, or names other types.
        """
        import skops.io
        from skops.io.exceptions import UntrustedTypesFoundException

        self.name = "kmnist-baseline-" + hashlib.sha256(content).hexdigest()[:8]
        try:
            self._classifier = skops.io.loads(content, trusted=[])
        except (zipfile.BadZipFile, UntrustedTypesFoundException, KeyError) as error:
            raise ArtefactError(f"not our baseline: {error}") from error

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """Classify images, as `Classifier.probabilities` does."""
        _check_shape(images)
        if not len(images):
            return np.empty((0, CLASSES), np.float32)
        rows = images.reshape(len(images), SIDE * SIDE).astype(np.float32) / np.float32(255)
        answers: NDArray[np.float32] = self._classifier.predict_proba(rows).astype(np.float32)
        return answers


def load_classifier(path: Path = NETWORK, threads: int = 1) -> Classifier:
    """Load the network.

    Args:
        path: The TFLite file; default the shipped one.
        threads: Cores that one call may use. More workers use more cores better than
            more threads do.

    Raises:
        ArtefactError: The file is missing or no model of ours.
    """
    return Classifier(_read(path), threads)


def load_baseline(path: Path = BASELINE) -> Baseline:
    """Load the scikit-learn baseline.

    Args:
        path: The skops file; default the shipped one.

    Raises:
        ArtefactError: The file is missing or no baseline of ours.
    """
    return Baseline(_read(path))


class _Fixed:
    """One interpreter, set up for one batch size."""

    def __init__(self, kind: Any, content: bytes, size: int, threads: int) -> None:
        self._interpreter = kind(model_content=content, num_threads=threads)
        self._input: int = self._details("input")["index"]
        self._output: int = self._details("output")["index"]
        self._interpreter.resize_tensor_input(self._input, [size, SIDE, SIDE, 1])
        self._interpreter.allocate_tensors()
        shape = tuple(self._details("output")["shape"])
        if shape != (size, CLASSES):
            raise ValueError(f"it answers with shape {shape}, not {(size, CLASSES)}")

    def __call__(self, pixels: NDArray[np.float32]) -> Any:
        self._interpreter.set_tensor(self._input, pixels)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)

    def _details(self, end: str) -> Dict[str, Any]:
        details: Dict[str, Any] = getattr(self._interpreter, f"get_{end}_details")()[0]
        return details


def _installed_interpreter() -> Any:
    """The interpreter class of the smallest package that is installed."""
    for package in ("tflite_runtime", "ai_edge_litert"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(package + ".interpreter").Interpreter
    return importlib.import_module("tensorflow").lite.Interpreter


def _check_shape(images: Images) -> None:
    if images.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"expected images of shape (n, 28, 28), got {images.shape}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"cannot read the model file {path}: {error.strerror}") from error
