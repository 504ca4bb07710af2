"""How far what comes in has moved from what the model was made for."""

from __future__ import annotations

from typing import Any, Dict, Mapping

import numpy as np
from numpy.typing import NDArray

from model.drift_reference import STATISTICS, Counts, count, stability_index

WINDOW = 2000
"""Images after which one counts a third (1/e) of what it did."""

ENOUGH = 500
"""Images that there must be for a figure. Chance alone moves the index of ten bins by 9/n:
by 0.02 here, by 0.1 for a hundred images."""


class DriftWindow:
    """Counts the latest images, older ones ever less, by the statistics of a reference.

    Not safe to use from several threads at once.
    """

    def __init__(self, reference: Mapping[str, Any]) -> None:
        """Start with no images.

        Args:
            reference: The shares of an artefact's manifest, see `model.drift_reference`.
        """
        self._expected = {name: np.array(reference[name], np.float64) for name in STATISTICS}
        self._counts: Counts = {name: np.zeros_like(self._expected[name]) for name in STATISTICS}
        self._seen = 0

    def add(
        self, images: NDArray[Any], confidence: NDArray[Any], classes: NDArray[np.int64]
    ) -> None:
        """Count images.

        Args:
            images: (n, 28, 28), ink from 0 to 255.
            confidence: (n,), the largest probability of each, from 0 to 1.
            classes: (10,), how many images were found to be of each class.
        """
        faded = (1 - 1 / WINDOW) ** len(images)
        for name, counts in count(images, confidence, classes).items():
            self._counts[name] = faded * self._counts[name] + counts
        self._seen += len(images)

    def indices(self) -> Dict[str, float]:
        """The population stability index of each statistic; none before `ENOUGH` images."""
        if self._seen < ENOUGH:
            return {}
        return {
            name: stability_index(counts, self._expected[name])
            for name, counts in self._counts.items()
        }
