"""Counts inputs and answers in bins, for drift detection. Python 3.8 to 3.12."""

from typing import Any, Dict, List, Mapping

import numpy as np
from numpy.typing import NDArray

INK_EDGES = (0, 20, 30, 40, 50, 60, 75, 100)
"""Lower edges of the bins of an image's mean ink, from 0 to 255."""

CONFIDENCE_EDGES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999)
"""Lower edges of the bins of confidence, from 0 to 1."""

STATISTICS = ("ink", "confidence", "class")
"""The monitored statistics: mean ink, confidence and class."""

_INK_INNER = np.array(INK_EDGES[1:], np.float64)
_CONFIDENCE_INNER = np.array(CONFIDENCE_EDGES[1:], np.float64)
_MIN_SHARE = 1e-3

Counts = Dict[str, NDArray[Any]]


def count(images: NDArray[Any], confidence: NDArray[Any], classes: NDArray[np.int64]) -> Counts:
    """Counts images in the bins of each of `STATISTICS`.

    Args:
        images: (n, 28, 28), ink from 0 to 255.
        confidence: (n,), largest probability of each image, from 0 to 1.
        classes: (10,), number of images of each predicted class.

    Returns:
        The number of images in each bin, by statistic.
    """
    pixels = images.reshape(len(images), -1)
    # Sums of integers are four times as fast as their mean.
    ink = pixels.sum(axis=1, dtype=np.uint32 if pixels.dtype == np.uint8 else None) / (28 * 28)
    return {
        "ink": _binned(ink, _INK_INNER),
        "confidence": _binned(confidence, _CONFIDENCE_INNER),
        "class": classes,
    }


def reference(images: NDArray[Any], probabilities: NDArray[Any]) -> Dict[str, List[float]]:
    """Returns the reference shares for an artefact's manifest: the share of each bin.

    Args:
        images: (n, 28, 28), images without drift, ink from 0 to 255.
        probabilities: (n, 10), the model's answers to the images.

    Returns:
        The shares of all bins, by statistic.
    """
    classes = np.bincount(probabilities.argmax(axis=1), minlength=10)
    return {
        name: [round(float(share), 5) for share in counts / max(1.0, float(counts.sum()))]
        for name, counts in count(images, probabilities.max(axis=1), classes).items()
    }


def stability_index(counts: NDArray[Any], expected: NDArray[Any]) -> float:
    """Returns the population stability index of counts against expected shares.

    Below 0.1 little has changed, above 0.25 much has (Siddiqi, Credit Risk Scorecards, 2006).

    Args:
        counts: number of images in each bin of one statistic.
        expected: expected share of each bin.
    """
    # An empty bin would make the index infinite.
    found = np.maximum(counts / max(1.0, float(counts.sum())), _MIN_SHARE)
    known = np.maximum(expected, _MIN_SHARE)
    return float(np.sum((found - known) * np.log(found / known)))


def is_reference(value: Mapping[str, Any]) -> bool:
    """Returns whether `reference` in a manifest has a share for each bin of each statistic."""
    sizes = {"ink": len(INK_EDGES), "confidence": len(CONFIDENCE_EDGES), "class": 10}
    return all(
        isinstance(value.get(name), list)
        and len(value[name]) == size
        and all(type(share) in (int, float) for share in value[name])
        for name, size in sizes.items()
    )


def _binned(values: NDArray[Any], inner: NDArray[np.float64]) -> NDArray[np.int64]:
    """Counts values by bin; `inner` has the lower edges of all bins except the lowest bin."""
    return np.bincount(inner.searchsorted(values, side="right"), minlength=len(inner) + 1)
