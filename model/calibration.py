"""How sure answers are, and how sure they ought to be."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 15


def fit_temperature(logits: Any, labels: Any) -> float:
    """Find the divisor of the logits under which answers are as sure as they are right.

    Temperature scaling is from Guo et al., On Calibration of Modern Neural Networks, 2017,
    section 4.2. They take the likeliest temperature; this one makes the mean confidence the
    share of right answers, which is what the calibration error asks for.

    Args:
        logits: float (n, 10).
        labels: (n,) indices.

    Returns:
        The temperature, by search in steps of 1 % from 0.22 to 4.4.
    """
    right = np.mean(logits.argmax(axis=1) == labels)
    below = logits - logits.max(axis=1, keepdims=True)

    def gap(temperature: float) -> float:
        confidences = 1 / np.exp(below / temperature).sum(axis=1)
        return float(abs(confidences.mean() - right))

    return min((1.01**step for step in range(-150, 151)), key=gap)


@dataclass(frozen=True)
class Reliability:
    """How often answers are right, by how sure they are, in bins of equal width.

    Attributes:
        counts: Answers in each of 15 bins of confidence.
        confidences: Mean confidence in each bin; 0 where it is empty.
        accuracies: Share of right answers in each bin; 0 where it is empty.
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
    """Sort answers into bins.

    Args:
        confidence: float (n,), each answer's largest probability.
        right: bool (n,), whether it is true.
    """
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    some = np.maximum(counts, 1)
    return Reliability(
        counts,
        np.bincount(bins, confidence, _BINS) / some,
        np.bincount(bins, right, _BINS) / some,
    )


@dataclass(frozen=True)
class RiskCoverage:
    """What remains wrong when the least sure answers are left out.

    Attributes:
        thresholds: Confidences, falling.
        coverage: Share of images with at least that confidence.
        risk: Share of those that are answered wrongly.
    """

    thresholds: NDArray[Any]
    coverage: NDArray[Any]
    risk: NDArray[Any]


def risk_coverage(confidence: NDArray[Any], right: NDArray[np.bool_]) -> RiskCoverage:
    """The risk at every coverage (Geifman and El-Yaniv 2017, section 2).

    Args:
        confidence: float (n,), each answer's largest probability.
        right: bool (n,), whether it is true.
    """
    order = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(order) + 1)
    wrong = np.cumsum(~right[order])
    return RiskCoverage(confidence[order], answered / len(order), wrong / answered)


def threshold_for(risk: float, confidence: NDArray[Any], right: NDArray[np.bool_]) -> float:
    """The lowest confidence to answer from, so that no more than a share is wrong.

    Args:
        risk: That share of the answers given.
        confidence: float (n,), each answer's largest probability.
        right: bool (n,), whether it is true.

    Returns:
        The confidence, of four digits; 1 if only certainty will do.
    """
    # Rounded first: rounding what was found would leave out answers that it counts on.
    curve = risk_coverage(np.floor(confidence.astype(float) * 1e4) / 1e4, right)
    # Equal confidences are answered together or not at all.
    last_of_equals = np.append(curve.thresholds[1:] != curve.thresholds[:-1], True)
    good = np.flatnonzero((curve.risk <= risk) & last_of_equals)
    if not len(good):
        return 1.0
    return float(curve.thresholds[good[-1]])
