"""Prometheus metrics of the model's answers, counted in the process that answers.

The supervisor's `/metrics` shows the metrics of the stream workers. The metrics of Seldon's server,
which answers REST and gRPC, are shown nowhere: Seldon's metrics endpoint shows only metrics that a
class returns with each answer. Such metrics would be part of each reply (`meta.metrics`), also on
the stream, and each answer would cost two requests to another process.

An answer that is predicted again after an aborted transaction counts twice.
"""

from __future__ import annotations

import threading
from typing import Optional

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter, Gauge

from model.artefacts import Artefact
from model.labels import ROMAJI
from wrapper.drift import DriftWindow
from wrapper.judgement import Judgement

# Answered images, by the romaji name of the most probable class.
IMAGES = Counter("model_images", "Images classified, by the class that was found", ["label"])
# Images for which the model abstains.
ABSTAINED = Counter("model_abstained", "Images with a confidence too low to rely on")
# Answered images, by confidence in steps of 0.1: `at_least` is the lower limit of a step.
CONFIDENCE = Counter(
    "model_confidence_images", "Images by the confidence of their answer", ["at_least"]
)
# Images flagged as outliers; always 0 for a model that does not detect outliers.
OUTLIERS = Counter("model_outliers", "Pictures that are no kuzushiji")
# One value for each live process. Each process reads its own partitions, so images of different
# processes may have different senders.
DRIFT = Gauge(
    "model_drift_index",
    "Population stability index of the latest images; above 0.25 much has changed",
    ["statistic"],
    multiprocess_mode="liveall",
)

# Minimum number of images between two updates of the gauge; an update takes longer than a count.
_EVERY = 100
_TENTHS = 10


class ModelMetrics:
    """Counts the answers of one model; it is safe for several threads.

    Args:
        artefact: the model's artefact; if its `reference` is None, drift is not measured.
    """

    def __init__(self, artefact: Artefact) -> None:
        self._labels = [IMAGES.labels(name) for name in ROMAJI]
        self._tenths = [CONFIDENCE.labels(f"0.{tenth}") for tenth in range(_TENTHS)]
        self._window: Optional[DriftWindow] = None
        if artefact.reference is not None:
            self._window = DriftWindow(artefact.reference)
        self._since_update = 0
        self._lock = threading.Lock()

    def count(self, images: NDArray[np.uint8], judgement: Judgement) -> None:
        """Counts answers.

        Args:
            images: uint8 (n, 28, 28).
            judgement: the answers to the images.
        """
        found = np.bincount(judgement.best, minlength=len(self._labels))
        for label, images_of_it in zip(self._labels, found.tolist()):
            if images_of_it:
                label.inc(images_of_it)
        tenths = np.minimum(judgement.confidence * _TENTHS, _TENTHS - 1).astype(np.int64)
        counted = np.bincount(tenths, minlength=_TENTHS)
        for tenth, images_in_it in zip(self._tenths, counted.tolist()):
            if images_in_it:
                tenth.inc(images_in_it)
        ABSTAINED.inc(np.count_nonzero(judgement.abstain))
        if judgement.outlier is not None:
            OUTLIERS.inc(np.count_nonzero(judgement.outlier))
        if self._window is not None:
            self._update_drift(self._window, images, judgement.confidence, found)

    def _update_drift(
        self,
        window: DriftWindow,
        images: NDArray[np.uint8],
        confidence: NDArray[np.float64],
        classes: NDArray[np.int64],
    ) -> None:
        with self._lock:
            window.add(images, confidence, classes)
            self._since_update += len(images)
            if self._since_update < _EVERY:
                return
            self._since_update = 0
            for statistic, index in window.indices().items():
                DRIFT.labels(statistic).set(index)
