"""Scaling by lag does what KEDA and the autoscaler behind it do in a cluster."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka.replicas.scaling import (
    AUTOMATIC,
    Policy,
    PolicyError,
    Scaler,
    asked_for,
    metric,
)

TWELVE = 12


def lag_of(total: int, partitions: int = TWELVE) -> dict[int, int]:
    """A lag spread over partitions."""
    whole, rest = divmod(total, partitions)
    return {number: whole + (number < rest) for number in range(partitions)}


def policy(**changed: float) -> Policy:
    values = {"minimum": 1, "maximum": 8, "lag_per_worker": 100, **changed}
    return Policy(mode=AUTOMATIC, **values)  # type: ignore[arg-type]


def decide(total: int, now: int, **changed: float) -> int:
    return Scaler().decide(policy(**changed), lag_of(total), now, 0.0)


@pytest.mark.parametrize(
    ("lag", "now", "then"),
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
def test_there_are_as_many_replicas_as_the_lag_divided_by_the_target(
    lag: int, now: int, then: int
) -> None:
    assert decide(lag, now) == then


def test_no_more_replicas_than_partitions_are_asked_for() -> None:
    assert metric(lag_of(100_000, 3), 100) == 300
    assert metric(lag_of(250, 3), 100) == 250
    assert Scaler().decide(policy(), lag_of(100_000, 3), 3, 0.0) == 3


def test_growth_is_four_or_a_doubling_in_fifteen_seconds() -> None:
    scaler, many = Scaler(), policy(maximum=64)
    wanted = lag_of(6400, 64)
    assert scaler.decide(many, wanted, 1, 0.0) == 5
    assert scaler.decide(many, wanted, 5, 5.0) == 5
    assert scaler.decide(many, wanted, 5, 15.0) == 10
    assert scaler.decide(many, wanted, 10, 31.0) == 20


def test_a_limit_of_growth_ends_none_that_runs() -> None:
    scaler, many = Scaler(), policy(maximum=64)
    wanted = lag_of(6400, 64)
    assert scaler.decide(many, wanted, 5, 0.0) == 10
    # Three of them died meanwhile.
    assert scaler.decide(many, wanted, 7, 5.0) == 7


def test_a_lull_shorter_than_the_stabilisation_costs_no_replica() -> None:
    scaler, steady = Scaler(), policy(stabilisation_s=20)
    assert scaler.decide(steady, lag_of(400), 4, 0.0) == 4
    assert scaler.decide(steady, lag_of(0), 4, 10.0) == 4
    assert scaler.decide(steady, lag_of(400), 4, 15.0) == 4
    assert scaler.decide(steady, lag_of(0), 4, 30.0) == 4
    assert scaler.decide(steady, lag_of(0), 4, 36.0) == 1


def test_a_group_sleeps_after_its_cool_down_and_wakes_at_the_first_message() -> None:
    scaler, sleepy = Scaler(), policy(minimum=0, cooldown_s=30, stabilisation_s=0)
    assert scaler.decide(sleepy, lag_of(50), 1, 0.0) == 1
    assert scaler.decide(sleepy, lag_of(0), 1, 29.0) == 1
    assert scaler.decide(sleepy, lag_of(0), 1, 30.0) == 0
    assert scaler.decide(sleepy, lag_of(0), 0, 60.0) == 0
    assert scaler.decide(sleepy, lag_of(1), 0, 61.0) == 1


@given(st.integers(0, 10**7), st.integers(0, 20), st.integers(0, 5), st.integers(5, 20))
def test_a_decision_is_within_its_bounds(lag: int, now: int, least: int, most: int) -> None:
    decided = decide(lag, now, minimum=least, maximum=most)
    assert least <= decided <= most
    assert decided or (least == 0 and lag == 0)


@given(st.integers(1, 10**6), st.integers(1, 1000), st.integers(1, 64))
def test_what_is_asked_for_carries_the_lag(lag: int, target: int, now: int) -> None:
    assert asked_for(lag, target, now) * target * 1.1 >= lag * 0.999999


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
def test_a_policy_that_contradicts_itself_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(PolicyError):
        Policy(**wrong)  # type: ignore[arg-type]
