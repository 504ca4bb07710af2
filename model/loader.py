"""Loads the shipped classifiers for serving; runs on Python 3.8 to 3.12.

Both kinds answer the same question in the same way, so that a wrapper can hold either:
`Classifier` runs the TFLite artefact, `Baseline` the scikit-learn one.
"""

import contextlib
import importlib
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
"""Batch sizes that the interpreter is set up for, largest first.

A change of the batch size costs up to 10 ms. So each size keeps its own interpreter, any batch is
cut into these sizes, and memory does not grow with what is asked. By itself the network is quickest
in batches of 4 to 24, which fit into a core's own cache: 26 microseconds an image and not 30. But
each call gives Python's lock up, and has to get it back from the thread that reads and publishes:
with both at work a backlog is answered up to a tenth sooner in batches of 256 than in those of 64.
"""

Images = Union[NDArray[np.uint8], NDArray[np.float32]]


class Answers(NamedTuple):
    """What a model says of images.

    Attributes:
        probabilities: float32 (n, 10), each row sums to 1, in the order of `model.labels`.
        outlier: float32 (n,), from 0 to 1, how surely a picture is no kuzushiji; None of a
            model that can't tell.
    """

    probabilities: NDArray[np.float32]
    outlier: Optional[NDArray[np.float32]]


class Classifier:
    """A TFLite network behind a lock, safe to call from many threads."""

    def __init__(self, content: bytes, threads: int = 1, interpreter: Any = None) -> None:
        """Set up one interpreter for each batch size.

        Args:
            content: A TFLite model from float32 (n, 28, 28, 1) to float32 (n, 10), and to
                outlier scores float32 (n, 1) if it can tell.
            threads: Cores that one call may use.
            interpreter: The interpreter class; default the first that is installed of
                tflite_runtime, ai_edge_litert and tensorflow.

        Raises:
            ArtefactError: `content` is not such a model.
        """
        self._lock = threading.Lock()
        kind = interpreter or _installed_interpreter()
        try:
            self._interpreters = {size: _Fixed(kind, content, size, threads) for size in _BATCHES}
        except (ValueError, RuntimeError) as error:
            said = " ".join(str(error).split())
            raise ArtefactError(f"not a TFLite model of 28 x 28 images: {said}") from error
        self._tells_outliers = all(each.tells_outliers for each in self._interpreters.values())

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """The probabilities of `answers`."""
        return self.answers(images).probabilities

    def answers(self, images: Images) -> Answers:
        """Classify images.

        Args:
            images: uint8 or float32 (n, 28, 28), 0 is background and 255 full ink; n may
                be 0.

        Returns:
            A row for each, which does not depend on the others.

        Raises:
            ValueError: The shape is another one.
        """
        _check_shape(images)
        probabilities = np.empty((len(images), CLASSES), np.float32)
        outlier = np.empty((len(images), 1), np.float32) if self._tells_outliers else None
        start = 0
        with self._lock:
            for size, interpreter in self._interpreters.items():
                while len(images) - start >= size:
                    rows = slice(start, start + size)
                    interpreter.run(images[rows], probabilities[rows], _part(outlier, rows))
                    start += size
        return Answers(probabilities, None if outlier is None else outlier[:, 0])


class Baseline:
    """A scikit-learn classifier; its prediction keeps no state, so threads may share it."""

    def __init__(self, content: bytes) -> None:
        """Load it without pickle: skops builds scikit-learn's and numpy's own types only.

        Args:
            content: A file of `skops.io` that holds a classifier of (n, 784) pixels.

        Raises:
            ArtefactError: `content` is no such file, or names other types.
        """
        import skops.io
        from skops.io.exceptions import UntrustedTypesFoundException

        try:
            self._classifier = skops.io.loads(content, trusted=[])
        except (zipfile.BadZipFile, UntrustedTypesFoundException, KeyError) as error:
            raise ArtefactError(f"not our baseline: {error}") from error

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """The probabilities of `answers`."""
        return self.answers(images).probabilities

    def answers(self, images: Images) -> Answers:
        """Classify images, as `Classifier.answers` does; it can't tell outliers."""
        return Answers(self._probabilities(images), None)

    def _probabilities(self, images: Images) -> NDArray[np.float32]:
        _check_shape(images)
        if not len(images):
            return np.empty((0, CLASSES), np.float32)
        rows = images.reshape(len(images), SIDE * SIDE).astype(np.float32) / np.float32(255)
        answers: NDArray[np.float32] = self._classifier.predict_proba(rows).astype(np.float32)
        return answers


def load_classifier(folder: Path = FAST, threads: int = 1) -> Classifier:
    """Load a network.

    Args:
        folder: Of the artefact; default the shipped one of variant `fast`.
        threads: Cores that one call may use. More workers use more cores better than
            more threads do.

    Raises:
        ArtefactError: The artefact is missing, broken or no network of ours.
    """
    return Classifier(read_artefact(folder).content, threads)


def load_baseline(folder: Path = BASELINE) -> Baseline:
    """Load the scikit-learn baseline.

    Args:
        folder: Of the artefact; default the shipped one.

    Raises:
        ArtefactError: The artefact is missing, broken or no baseline of ours.
    """
    return Baseline(read_artefact(folder).content)


class _Fixed:
    """One interpreter, set up for one batch size.

    Attributes:
        tells_outliers: It has the second output.
    """

    def __init__(self, kind: Any, content: bytes, size: int, threads: int) -> None:
        self._interpreter = kind(model_content=content, num_threads=threads)
        tensors = self._interpreter.get_input_details() + self._interpreter.get_output_details()
        if any(each["dtype"] is not np.float32 for each in tensors):
            raise ValueError(f"not all of {[each['name'] for each in tensors]} are float32")
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        self._interpreter.resize_tensor_input(self._input, [size, SIDE, SIDE, 1])
        self._interpreter.allocate_tensors()
        # Converters put outputs in any order, under any name.
        outputs: Dict[Any, int] = {
            tuple(each["shape"]): each["index"] for each in self._interpreter.get_output_details()
        }
        if (size, CLASSES) not in outputs:
            raise ValueError(f"it answers with {list(outputs)}, not {(size, CLASSES)}")
        self._probabilities = outputs[size, CLASSES]
        self._outlier = outputs.get((size, 1))
        self.tells_outliers = self._outlier is not None

    def run(
        self,
        images: Images,
        probabilities: NDArray[np.float32],
        outlier: Optional[NDArray[np.float32]],
    ) -> None:
        """Write the answers for `size` images into the arrays."""
        # The assignment converts numbers without a copy in between. No view of the interpreter's
        # memory may exist while it runs.
        self._interpreter.tensor(self._input)()[..., 0] = images
        self._interpreter.invoke()
        probabilities[:] = self._interpreter.get_tensor(self._probabilities)
        if outlier is not None:
            outlier[:] = self._interpreter.get_tensor(self._outlier)


def _part(values: Optional[NDArray[np.float32]], rows: slice) -> Optional[NDArray[np.float32]]:
    return None if values is None else values[rows]


def _installed_interpreter() -> Any:
    """The interpreter class of the smallest package that is installed."""
    for package in ("tflite_runtime", "ai_edge_litert"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(package + ".interpreter").Interpreter
    return importlib.import_module("tensorflow").lite.Interpreter


def _check_shape(images: Images) -> None:
    if images.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"expected images of shape (n, 28, 28), got {images.shape}")
