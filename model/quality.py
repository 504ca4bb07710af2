"""Measures a classifier's answers on a split of the data."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.artefacts import Artefact
from model.calibration import reliability, risk_coverage
from model.labels import CLASSES, ROMAJI
from model.loader import Answers

COVERAGES = (1.0, 0.999, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8)
"""Shares of the images, most confident first, for which the risk is reported."""

_CURVE_POINTS = 200


def quality(answers: Answers, labels: NDArray[Any], artefact: Artefact) -> dict[str, Any]:
    """Measures answers against the labels.

    Args:
        answers: answers to n images.
        labels: (n,) indices of the right classes.
        artefact: artefact of the classifier, with the thresholds to abstain and to flag.

    Returns:
        Values for JSON, by name. `images` and `right` are counts. `accuracy`,
        `accuracy_interval` and `accuracy_by_class` are shares from 0 to 1. `confusion` has a row
        for each right class. `calibration` is explained in `model.calibration.Reliability`, and
        `risk_coverage` in `model.calibration.RiskCoverage`. `abstention` describes the answers
        whose confidence reaches the artefact's threshold. `flagged` is the share of images with an
        outlier score above the artefact's threshold; None without scores.
    """
    found = answers.probabilities.argmax(axis=1)
    confidence = answers.probabilities.max(axis=1).astype(np.float64)
    right = found == labels
    bins = reliability(confidence, right)
    confusion = np.zeros((CLASSES, CLASSES), int)
    np.add.at(confusion, (labels, found), 1)
    flagged = None if answers.outlier is None else answers.outlier > artefact.outlier_above
    return {
        "images": len(labels),
        "right": int(right.sum()),
        "accuracy": float(right.mean()),
        "accuracy_interval": wilson_interval(int(right.sum()), len(labels)),
        "accuracy_by_class": {
            ROMAJI[each]: float(right[labels == each].mean()) for each in np.unique(labels)
        },
        "confusion": confusion.tolist(),
        "calibration": {
            "error": bins.error,
            "counts": bins.counts.tolist(),
            "confidences": bins.confidences.round(4).tolist(),
            "accuracies": bins.accuracies.round(4).tolist(),
        },
        "abstention": _abstention(confidence, right, artefact.abstain_below),
        "risk_coverage": _risks(confidence, right),
        "flagged": None if flagged is None else float(flagged.mean()),
    }


def wilson_interval(right: int, count: int, deviations: float = 1.96) -> tuple[float, float]:
    """Returns the lower and upper end of the confidence interval of an accuracy.

    Wilson, Journal of the American Statistical Association 22, 1927.

    Args:
        right: number of right answers.
        count: number of answers.
        deviations: standard deviations of the normal distribution; 1.96 is 95 %.
    """
    share, square = right / count, deviations**2
    middle = share + square / (2 * count)
    around = deviations * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    scale = 1 + square / count
    return (middle - around) / scale, (middle + around) / scale


def _abstention(confidence: NDArray[Any], right: NDArray[Any], below: float) -> dict[str, Any]:
    sure = confidence >= below
    wrong = int((~right[sure]).sum())
    answered = int(sure.sum())
    return {
        "below": below,
        "answered": float(sure.mean()),
        "wrong": wrong,
        "accuracy": 1 - wrong / answered if answered else None,
    }


def _risks(confidence: NDArray[Any], right: NDArray[Any]) -> dict[str, Any]:
    curve = risk_coverage(confidence, right)
    count = len(right)
    at = [max(0, math.ceil(share * count) - 1) for share in COVERAGES]
    points = np.unique(np.linspace(0, count - 1, _CURVE_POINTS).astype(int))
    return {
        "at": {
            f"{share:g}": float(curve.risk[index])
            for share, index in zip(COVERAGES, at, strict=True)
        },
        "coverage": curve.coverage[points].round(4).tolist(),
        "risk": curve.risk[points].round(6).tolist(),
    }
