"""Scaling by lag gives the same numbers as KEDA and the autoscaler in Kubernetes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka.replicas.scaling import (
    AUTOMATIC,
    Policy,
    PolicyError,
    Scaler,
    desired_replicas,
    metric,
)

TWELVE = 12


def lag_of(total: int, partitions: int = TWELVE) -> dict[int, int]:
    """Returns a lag that is spread evenly over partitions."""
    whole, rest = divmod(total, partitions)
    return {number: whole + (number < rest) for number in range(partitions)}


def policy(**changed: float) -> Policy:
    values = {"minimum": 1, "maximum": 8, "lag_per_worker": 100, **changed}
    return Policy(mode=AUTOMATIC, **values)  # type: ignore[arg-type]


def decide(total: int, current: int, **changed: float) -> int:
    return Scaler().decide(policy(**changed), lag_of(total), current, 0.0)


@pytest.mark.parametrize(
    ("lag", "current", "wanted"),
    [
        (0, 1, 1),
        (100, 1, 1),
        (101, 1, 1),  # within a tenth of the target
        (111, 1, 2),
        (301, 2, 4),
        (301, 4, 4),
        (390, 4, 4),
        (10_000, 4, 8),
    ],
)
def test_the_number_of_replicas_is_the_lag_divided_by_the_target(
    lag: int, current: int, wanted: int
) -> None:
    assert decide(lag, current) == wanted


def test_the_number_of_replicas_does_not_exceed_the_partitions() -> None:
    assert metric(lag_of(100_000, 3), 100) == 300
    assert metric(lag_of(250, 3), 100) == 250
    assert Scaler().decide(policy(), lag_of(100_000, 3), 3, 0.0) == 3


def test_the_number_at_most_doubles_or_rises_by_four_in_fifteen_seconds() -> None:
    scaler, many = Scaler(), policy(maximum=64)
    wanted = lag_of(6400, 64)
    assert scaler.decide(many, wanted, 1, 0.0) == 5
    assert scaler.decide(many, wanted, 5, 5.0) == 5
    assert scaler.decide(many, wanted, 5, 15.0) == 10
    assert scaler.decide(many, wanted, 10, 31.0) == 20


def test_the_growth_limit_does_not_stop_running_replicas() -> None:
    scaler, many = Scaler(), policy(maximum=64)
    wanted = lag_of(6400, 64)
    assert scaler.decide(many, wanted, 5, 0.0) == 10
    # Three replicas died in between.
    assert scaler.decide(many, wanted, 7, 5.0) == 7


def test_a_pause_shorter_than_the_stabilisation_stops_no_replica() -> None:
    scaler, steady = Scaler(), policy(stabilisation_s=20)
    assert scaler.decide(steady, lag_of(400), 4, 0.0) == 4
    assert scaler.decide(steady, lag_of(0), 4, 10.0) == 4
    assert scaler.decide(steady, lag_of(400), 4, 15.0) == 4
    assert scaler.decide(steady, lag_of(0), 4, 30.0) == 4
    assert scaler.decide(steady, lag_of(0), 4, 36.0) == 1


def test_a_group_scales_to_zero_after_the_cool_down_and_to_one_at_the_first_message() -> None:
    scaler, to_zero = Scaler(), policy(minimum=0, cooldown_s=30, stabilisation_s=0)
    assert scaler.decide(to_zero, lag_of(50), 1, 0.0) == 1
    assert scaler.decide(to_zero, lag_of(0), 1, 29.0) == 1
    assert scaler.decide(to_zero, lag_of(0), 1, 30.0) == 0
    assert scaler.decide(to_zero, lag_of(0), 0, 60.0) == 0
    assert scaler.decide(to_zero, lag_of(1), 0, 61.0) == 1


@given(st.integers(0, 10**7), st.integers(0, 20), st.integers(0, 5), st.integers(5, 20))
def test_a_decision_is_between_minimum_and_maximum(
    lag: int, current: int, minimum: int, maximum: int
) -> None:
    decided = decide(lag, current, minimum=minimum, maximum=maximum)
    assert minimum <= decided <= maximum
    assert decided or (minimum == 0 and lag == 0)


@given(st.integers(1, 10**6), st.integers(1, 1000), st.integers(1, 64))
def test_the_desired_number_suffices_for_the_lag(lag: int, target: int, current: int) -> None:
    assert desired_replicas(lag, target, current) * target * 1.1 >= lag * 0.999999


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "often"},
        {"minimum": 3, "maximum": 2},
        {"minimum": -1},
        {"maximum": 65},
        {"lag_per_worker": 0},
        {"polling_interval_s": 0.0},
        {"stabilisation_s": -1.0},
    ],
)
def test_a_wrong_policy_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(PolicyError):
        Policy(**wrong)  # type: ignore[arg-type]
