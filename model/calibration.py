"""Calibration: how well confidences agree with the share of right answers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 15


def fit_temperature(logits: Any, labels: Any) -> float:
    """Finds the temperature at which the mean confidence equals the share of right answers.

    Temperature scaling is from Guo et al., On Calibration of Modern Neural Networks, 2017,
    section 4.2. Guo et al. choose the temperature of the largest likelihood. This function makes
    the difference of the mean confidence and the share of right answers as small as possible.
    With all confidences in a single bin, this difference is the calibration error.

    Args:
        logits: float (n, 10), a network's answers.
        labels: (n,) indices of the right classes.

    Returns:
        The divisor of the logits, by search in steps of 1 % from 0.22 to 4.4.
    """
    right = np.mean(logits.argmax(axis=1) == labels)
    below = logits - logits.max(axis=1, keepdims=True)

    def gap(temperature: float) -> float:
        confidences = 1 / np.exp(below / temperature).sum(axis=1)
        return float(abs(confidences.mean() - right))

    return min((1.01**step for step in range(-150, 151)), key=gap)


@dataclass(frozen=True)
class Reliability:
    """Share of right answers by confidence, in bins of equal width.

    Attributes:
        counts: answers in each of 15 bins of confidence.
        confidences: mean confidence in each bin; 0 for an empty bin.
        accuracies: share of right answers in each bin; 0 for an empty bin.
    """

    counts: NDArray[Any]
    confidences: NDArray[Any]
    accuracies: NDArray[Any]

    @property
    def error(self) -> float:
        """The expected calibration error (Guo et al. 2017, section 2)."""
        gaps = np.abs(self.confidences - self.accuracies) * self.counts
        return float(gaps.sum() / self.counts.sum())


def reliability(confidence: NDArray[Any], right: NDArray[np.bool_]) -> Reliability:
    """Counts answers in bins of confidence.

    Args:
        confidence: float (n,), each answer's largest probability.
        right: bool (n,), whether the answer is right.
    """
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    divisors = np.maximum(counts, 1)  # an empty bin has the sum 0
    return Reliability(
        counts,
        np.bincount(bins, confidence, _BINS) / divisors,
        np.bincount(bins, right, _BINS) / divisors,
    )


@dataclass(frozen=True)
class RiskCoverage:
    """Share of wrong answers when the least confident answers are left out.

    Element i describes the i + 1 most confident answers.

    Attributes:
        thresholds: float (n,), the lowest confidence among these answers.
        coverage: float (n,), these answers as a share of all answers.
        risk: float (n,), share of wrong answers among these answers.
    """

    thresholds: NDArray[Any]
    coverage: NDArray[Any]
    risk: NDArray[Any]


def risk_coverage(confidence: NDArray[Any], right: NDArray[np.bool_]) -> RiskCoverage:
    """Returns the risk at every coverage (Geifman and El-Yaniv 2017, section 2).

    Args:
        confidence: float (n,), each answer's largest probability.
        right: bool (n,), whether the answer is right.
    """
    order = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(order) + 1)
    wrong = np.cumsum(~right[order])
    return RiskCoverage(confidence[order], answered / len(order), wrong / answered)


def threshold_for(risk: float, confidence: NDArray[Any], right: NDArray[np.bool_]) -> float:
    """Returns the lowest confidence from which on few enough answers are wrong.

    Args:
        risk: maximum share of wrong answers, among the answers at or above the threshold.
        confidence: float (n,), each answer's largest probability.
        right: bool (n,), whether the answer is right.

    Returns:
        The threshold, with four digits after the point; 1 if more answers are wrong at every
        threshold.
    """
    # The curve has thresholds of four digits only. A threshold that is rounded at the end would
    # select other answers than those whose risk was calculated.
    curve = risk_coverage(np.floor(confidence.astype(float) * 1e4) / 1e4, right)
    # Equal confidences are answered together or not at all.
    last_of_equals = np.append(curve.thresholds[1:] != curve.thresholds[:-1], True)
    good = np.flatnonzero((curve.risk <= risk) & last_of_equals)
    if not len(good):
        return 1.0
    return float(curve.thresholds[good[-1]])
