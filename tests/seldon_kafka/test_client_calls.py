"""Calls of the client library, and what is done while they are waited for."""

from __future__ import annotations

import threading

import pytest
from confluent_kafka import KafkaError, KafkaException

from seldon_kafka.transport.client_calls import bounded_call


def test_other_work_is_done_until_the_call_is_back() -> None:
    back = threading.Event()
    steps: list[int] = []

    def step() -> bool:
        steps.append(len(steps))
        if len(steps) == 3:
            back.set()
        return len(steps) < 1_000_000

    bounded_call(back.wait, 30, within_s=30, meanwhile=step)
    assert 3 <= len(steps) < 1_000_000


def test_a_call_is_waited_for_when_there_is_nothing_else_to_do() -> None:
    asked, back, ended = [], threading.Event(), []

    def call() -> None:
        assert back.wait(30)
        ended.append(True)

    def step() -> bool:
        asked.append(True)
        back.set()
        return False

    bounded_call(call, within_s=30, meanwhile=step)
    assert (asked, ended) == ([True], [True])


def test_trouble_of_the_other_work_shows_when_the_call_is_back() -> None:
    back, ended = threading.Event(), []

    def call() -> None:
        assert back.wait(30)
        ended.append(True)

    def step() -> bool:
        back.set()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bounded_call(call, within_s=30, meanwhile=step)
    assert ended == [True]


def test_a_call_that_does_not_come_back_is_given_up() -> None:
    back = threading.Event()
    with pytest.raises(KafkaException) as caught:
        bounded_call(back.wait, 30, within_s=0.01)
    back.set()
    error = caught.value.args[0]
    assert (error.code(), error.fatal()) == (KafkaError._TIMED_OUT, True)


def test_that_a_call_does_not_come_back_is_told_rather_than_trouble_of_the_other_work() -> None:
    back = threading.Event()

    def step() -> bool:
        raise ZeroDivisionError

    with pytest.raises(KafkaException, match="did not come back"):
        bounded_call(back.wait, 30, within_s=0.01, meanwhile=step)
    back.set()


def test_what_a_call_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="no such topic"):
        bounded_call(_raise, "no such topic", within_s=30)


def _raise(why: str) -> None:
    raise ValueError(why)


def test_calls_are_made_in_one_thread_until_one_hangs() -> None:
    threads: list[threading.Thread] = []
    back = threading.Event()

    def call() -> None:
        threads.append(threading.current_thread())

    bounded_call(call, within_s=30)
    bounded_call(call, within_s=30)
    with pytest.raises(KafkaException):
        bounded_call(back.wait, 30, within_s=0.01)
    bounded_call(call, within_s=30)
    back.set()
    assert threads[0] is threads[1]
    assert threads[2] is not threads[1]
