"""Calls of the client library in a thread of their own, with other work meanwhile."""

from __future__ import annotations

import threading

import pytest
from confluent_kafka import KafkaError, KafkaException

from seldon_kafka.transport.client_thread import ClientThread


def test_other_work_is_done_until_the_call_returns() -> None:
    back = threading.Event()
    steps: list[int] = []

    def step() -> bool:
        steps.append(len(steps))
        if len(steps) == 3:
            back.set()
        return len(steps) < 1_000_000

    ClientThread().call(back.wait, 30, within_s=30, while_waiting=step)
    assert 3 <= len(steps) < 1_000_000


def test_a_caller_without_other_work_waits_for_the_call() -> None:
    asked, back, ended = [], threading.Event(), []

    def call() -> None:
        assert back.wait(30)
        ended.append(True)

    def step() -> bool:
        asked.append(True)
        back.set()
        return False

    ClientThread().call(call, within_s=30, while_waiting=step)
    assert (asked, ended) == ([True], [True])


def test_an_error_of_the_other_work_is_raised_once_the_call_has_returned() -> None:
    back, ended = threading.Event(), []

    def call() -> None:
        assert back.wait(30)
        ended.append(True)

    def step() -> bool:
        back.set()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ClientThread().call(call, within_s=30, while_waiting=step)
    assert ended == [True]


def test_a_call_that_does_not_return_times_out() -> None:
    back = threading.Event()
    with pytest.raises(KafkaException) as caught:
        ClientThread().call(back.wait, 30, within_s=0.01)
    back.set()
    error = caught.value.args[0]
    assert (error.code(), error.fatal()) == (KafkaError._TIMED_OUT, True)


def test_a_call_that_does_not_return_is_reported_rather_than_an_error_of_the_other_work() -> None:
    back = threading.Event()

    def step() -> bool:
        raise ZeroDivisionError

    with pytest.raises(KafkaException, match="did not return"):
        ClientThread().call(back.wait, 30, within_s=0.01, while_waiting=step)
    back.set()


def test_the_error_of_a_call_is_raised() -> None:
    with pytest.raises(ValueError, match="no such topic"):
        ClientThread().call(_raise, "no such topic", within_s=30)


def _raise(why: str) -> None:
    raise ValueError(why)


def test_one_thread_makes_all_calls_until_one_hangs() -> None:
    client_thread = ClientThread()
    threads: list[threading.Thread] = []
    back = threading.Event()

    def call() -> None:
        threads.append(threading.current_thread())

    client_thread.call(call, within_s=30)
    client_thread.call(call, within_s=30)
    with pytest.raises(KafkaException):
        client_thread.call(back.wait, 30, within_s=0.01)
    client_thread.call(call, within_s=30)
    back.set()
    assert threads[0] is threads[1]
    assert threads[2] is not threads[1]
    client_thread.close()
    threads[2].join(30)
    assert not threads[2].is_alive()
