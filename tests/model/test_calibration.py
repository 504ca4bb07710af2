"""Calibration: its error, the temperature, and the threshold to abstain."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.calibration import fit_temperature, reliability, risk_coverage, threshold_for


def drawn(sharpness: float) -> tuple[Any, Any]:
    """Returns logits, and labels drawn with the probabilities of the unscaled logits."""
    random = np.random.default_rng(4)
    logits = random.normal(0, 2, (5_000, 10))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (chances.cumsum(axis=1) > random.random((5_000, 1))).argmax(axis=1)
    return logits * sharpness, labels


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_a_scaling_of_the_logits(sharpness: float) -> None:
    assert fit_temperature(*drawn(sharpness)) == pytest.approx(sharpness, rel=0.08)


def test_the_temperature_of_logits_that_are_far_from_zero_is_the_same() -> None:
    logits, labels = drawn(2.0)
    assert fit_temperature(logits + 1e3, labels) == fit_temperature(logits, labels)


def test_answers_whose_confidence_equals_their_accuracy_have_no_calibration_error() -> None:
    confidence = np.repeat([0.5, 0.75, 1.0], [10, 20, 30])
    right = np.concatenate([np.arange(10) < 5, np.arange(20) < 15, np.full(30, True)])
    assert reliability(confidence, right).error == pytest.approx(0)


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    confidence = np.array([0.9, 0.9, 0.9, 0.4])
    right = np.array([True, True, False, True])
    found = reliability(confidence, right)
    assert found.error == pytest.approx((3 * (0.9 - 2 / 3) + (1 - 0.4)) / 4)
    assert found.counts.sum() == 4


def test_the_risk_falls_with_the_coverage() -> None:
    curve = risk_coverage(np.array([0.2, 0.9, 0.6, 0.8]), np.array([False, True, False, True]))
    assert curve.thresholds.tolist() == [0.9, 0.8, 0.6, 0.2]
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])


answers = st.lists(
    st.tuples(st.integers(0, 12).map(lambda twelfths: twelfths / 12), st.booleans()),
    min_size=1,
    max_size=40,
)


@given(answers, st.sampled_from([0.0, 0.1, 0.3, 1.0]))
def test_answers_above_the_threshold_meet_the_risk(
    message: list[tuple[float, bool]], risk: float
) -> None:
    confidence, right = (
        np.array([each for each, _ in message]),
        np.array([good for _, good in message]),
    )
    threshold = threshold_for(risk, confidence, right)
    answered = right[confidence >= threshold]
    # If no threshold meets the risk, only certain answers are given.
    assert not len(answered) or (~answered).mean() <= risk or threshold == 1.0
    assert 0 <= threshold <= 1
    assert threshold == round(threshold, 4)


@given(answers)
def test_every_image_is_answered_if_any_risk_is_allowed(message: list[tuple[float, bool]]) -> None:
    confidence, right = (
        np.array([each for each, _ in message]),
        np.array([good for _, good in message]),
    )
    assert threshold_for(1.0, confidence, right) == pytest.approx(confidence.min(), abs=1e-4)


def test_the_threshold_is_the_lowest_that_meets_the_risk() -> None:
    confidence = np.array([0.95, 0.9, 0.8, 0.8, 0.7, 0.6])
    right = np.array([True, True, True, False, True, True])
    assert threshold_for(0.0, confidence, right) == 0.9
    assert threshold_for(0.17, confidence, right) == 0.6
