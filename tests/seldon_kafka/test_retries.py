"""Pauses after temporary errors, and when a message is rejected for them."""

from __future__ import annotations

import pytest

from seldon_kafka.errors import Retriable
from seldon_kafka.worker.retries import PROBE_AFTER, Retries
from tests.support.records import ndarray

AWAY = Retriable("away")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def retries(clock: Clock) -> Retries:
    return Retries(300.0, clock)


def test_waits_grow_to_thirty_seconds_and_are_spread(retries: Retries) -> None:
    delays = [retries.failed(ndarray([[1]], 7), AWAY, single=True) for _ in range(40)]
    assert delays[0] < 0.06
    assert all(15 <= delay <= 30 for delay in delays[-20:])
    assert len(set(delays[-20:])) > 1


def test_the_pause_of_an_error_is_respected(retries: Retries, clock: Clock) -> None:
    assert retries.failed(ndarray([[1]], 7), Retriable("busy", 120.0), single=True) == 120.0
    clock.now += 119
    assert retries.is_waiting
    clock.now += 2
    assert not retries.is_waiting


def test_a_message_is_rejected_only_while_others_are_answered(
    retries: Retries, clock: Clock
) -> None:
    for tries in range(1, PROBE_AFTER + 1):
        assert not retries.wants_probe
        retries.failed(ndarray([[1]], 7), AWAY, single=True)
        assert retries.wants_probe == (tries == PROBE_AFTER)
    clock.now += 400
    retries.failed(ndarray([[1]], 7), AWAY, single=True)
    retries.probed(answered=False)
    assert not retries.is_exhausted
    retries.probed(answered=True)
    assert retries.is_exhausted


def test_the_time_limit_starts_again_with_another_message(retries: Retries, clock: Clock) -> None:
    retries.failed(ndarray([[1]], 7), AWAY, single=True)
    clock.now += 400
    retries.committed({3: 8})
    for _ in range(PROBE_AFTER):
        retries.failed(ndarray([[1]], 8), AWAY, single=True)
    retries.probed(answered=True)
    assert not retries.is_exhausted


def test_tries_of_a_batch_of_many_name_no_message(retries: Retries) -> None:
    for _ in range(20):
        retries.failed(ndarray([[1]], 7), AWAY, single=False)
    assert not retries.wants_probe
