"""Measures drift: how much incoming images and their answers differ from a reference."""

from __future__ import annotations

from typing import Any, Dict, Mapping

import numpy as np
from numpy.typing import NDArray

from model.drift_reference import STATISTICS, Counts, count, stability_index

WINDOW = 2000
"""Number of images after which the weight of an image has fallen to a third (1/e)."""

ENOUGH = 500
"""Minimum number of images for an index. Chance alone moves the index of ten bins by 9/n: by 0.02
with 500 images, by 0.1 with 100 images."""


class DriftWindow:
    """Counts images in the bins of a reference; older images count less.

    Threads that share a window must guard it with a lock.

    Args:
        reference: the expected shares in an artefact's manifest; see `model.drift_reference`.
    """

    def __init__(self, reference: Mapping[str, Any]) -> None:
        self._expected = {name: np.array(reference[name], np.float64) for name in STATISTICS}
        self._counts: Counts = {name: np.zeros_like(self._expected[name]) for name in STATISTICS}
        self._seen = 0

    def add(
        self, images: NDArray[Any], confidence: NDArray[Any], classes: NDArray[np.int64]
    ) -> None:
        """Counts images.

        Args:
            images: (n, 28, 28), ink from 0 to 255.
            confidence: (n,), the largest probability of each image, from 0 to 1.
            classes: (10,), number of images of each predicted class.
        """
        decay = (1 - 1 / WINDOW) ** len(images)
        for name, counts in count(images, confidence, classes).items():
            self._counts[name] = decay * self._counts[name] + counts
        self._seen += len(images)

    def indices(self) -> Dict[str, float]:
        """Returns the population stability index by statistic; empty before `ENOUGH` images."""
        if self._seen < ENOUGH:
            return {}
        return {
            name: stability_index(counts, self._expected[name])
            for name, counts in self._counts.items()
        }
