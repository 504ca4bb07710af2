"""Every metric of the model, in one place.

They are Prometheus' own, counted in the process that answers: a stream worker's come out on
the supervisor's `/metrics` with the runtime's. What Seldon's server answers over REST and gRPC
is not in them: its own metrics endpoint shows nothing but what a class hands over with each
answer, which then stands in each reply (`meta.metrics`), those of the stream too, and it asks
another process twice for each request.

What is answered again, because its transaction was aborted, is counted again.
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

# Images that were answered, by the most probable class.
IMAGES = Counter("model_images", "Images classified, by the class that was found", ["label"])
# Images at which the model would rather not say.
ABSTAINED = Counter("model_abstained", "Images with a confidence too low to rely on")
# Images by confidence, in tenths: `at_least` is the lower end.
CONFIDENCE = Counter(
    "model_confidence_images", "Images by the confidence of their answer", ["at_least"]
)
# Pictures of something else; stays at 0 for a model that can't tell.
OUTLIERS = Counter("model_outliers", "Pictures that are no kuzushiji")
# Of each living process, since each has partitions, and so senders, of its own.
DRIFT = Gauge(
    "model_drift_index",
    "Population stability index of the latest images; above 0.25 much has changed",
    ["statistic"],
    multiprocess_mode="liveall",
)

# Images between two settings of the gauge, which takes as long as counting some of them.
_EVERY = 100
_TENTHS = 10


class Watch:
    """Counts what one model answers; safe to use from several threads."""

    def __init__(self, artefact: Artefact) -> None:
        """Start to watch; drift only if the artefact says what is to be expected."""
        self._labels = [IMAGES.labels(name) for name in ROMAJI]
        self._tenths = [CONFIDENCE.labels(f"0.{tenth}") for tenth in range(_TENTHS)]
        self._window: Optional[DriftWindow] = None
        if artefact.reference is not None:
            self._window = DriftWindow(artefact.reference)
        self._since = 0
        self._lock = threading.Lock()

    def count(self, images: NDArray[np.uint8], judgement: Judgement) -> None:
        """Count answers.

        Args:
            images: uint8 (n, 28, 28).
            judgement: The answers to them.
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
            self._measure(self._window, images, judgement.confidence, found)

    def _measure(
        self,
        window: DriftWindow,
        images: NDArray[np.uint8],
        confidence: NDArray[np.float64],
        classes: NDArray[np.int64],
    ) -> None:
        with self._lock:
            window.add(images, confidence, classes)
            self._since += len(images)
            if self._since < _EVERY:
                return
            self._since = 0
            for statistic, index in window.indices().items():
                DRIFT.labels(statistic).set(index)
