"""What a worker takes on after another has died with messages in hand."""

from __future__ import annotations

import collections
import contextlib
import functools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seldon_kafka.config.settings import load_settings
from seldon_kafka.errors import Retriable
from seldon_kafka.messages import Outcome, Record, Rejection
from seldon_kafka.pipeline.pipeline import Pipeline
from seldon_kafka.pipeline.stack_check import NoCheck
from seldon_kafka.pipeline.user_model import UserModel
from seldon_kafka.worker.batcher import Batcher
from seldon_kafka.worker.in_flight import InFlight, suspects_of
from seldon_kafka.worker.watchdog import Watchdog
from tests import classes
from tests.broker.stream import wait_until
from tests.seldon_kafka.helpers import die_with, ndarray


@pytest.fixture(autouse=True)
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each worker has a thread that runs its class, as the main thread does.

    Stacks are not checked, so that calls can be counted.
    """
    workers: list[Batcher] = []
    made = Batcher.__init__

    def make(worker: Batcher, *arguments: Any, **options: Any) -> None:
        made(worker, *arguments, **options)
        workers.append(worker)
        threading.Thread(target=worker.serve, name="main of the worker", daemon=True).start()

    monkeypatch.setattr(Batcher, "__init__", make)
    unchecked = functools.partial(Pipeline, check=NoCheck())
    monkeypatch.setattr("seldon_kafka.worker.batcher.Pipeline", unchecked)
    yield
    for worker in workers:
        worker.close()


def successor(folder: Path, held: list[Record], served: Any = None) -> Batcher:
    """A worker whose predecessor died with these records in hand."""
    die_with(InFlight(folder, "worker", "group"), held)
    settings = load_settings({})
    served = UserModel(served or classes.Double())
    in_flight = InFlight(folder, "worker", "group")
    return Batcher(settings, served, in_flight, Watchdog(), "worker", lambda: False)


def shrink_transactions(worker: Batcher) -> None:
    """Lets so many commits fail that a transaction has one message."""
    for _ in range(12):
        worker.not_committed()


def test_what_was_in_hand_is_taken_alone_with_ever_more_in_a_transaction(tmp_path: Path) -> None:
    backlog = collections.deque(ndarray([[n, n]], n) for n in range(100))
    worker = successor(tmp_path, list(backlog)[:60])
    transactions = []
    while backlog:
        outcomes = worker.answer(backlog)
        transactions.append(len(outcomes))
        worker.committed({outcomes[-1].record.partition: outcomes[-1].record.offset + 1})
    assert transactions[:6] == [1, 2, 4, 8, 16, 29 + 40]
    assert sum(transactions) == 100


def test_a_transaction_that_did_not_get_through_is_followed_by_ever_smaller_ones(
    tmp_path: Path,
) -> None:
    worker = successor(tmp_path, [])
    shrink_transactions(worker)
    assert len(worker.answer(collections.deque(ndarray([[n, n]], n) for n in range(100)))) == 1


class Clocked(classes.Double):
    """Takes so many seconds for each row, by a clock of its own."""

    def __init__(self, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[int] = []
        self.now = 0.0
        self.seconds = seconds
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        self.calls.append(len(X))
        self.now += self.seconds * len(X)
        return super().predict(X, names)


@pytest.mark.parametrize(("seconds", "most"), [(0.3, 8), (0.001, 512), (3.0, 1)])
def test_the_batches_of_a_slow_class_stay_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, most: int
) -> None:
    served = Clocked(seconds, monkeypatch)
    worker = successor(tmp_path, [], served)
    light = (collections.deque([ndarray([[n, n]], n)]) for n in range(40))
    for one in light:
        worker.answer(one)
    assert max(served.calls) == 1
    burst = collections.deque(ndarray([[n, n]], n) for n in range(4000))
    for _ in range(60):
        worker.answer(burst)
    assert max(served.calls) == most
    assert served.calls[-1] * seconds <= max(2.0, seconds)


class Gate(classes.Double):
    """Waits at each call until it is let through, and notes in which thread it was called."""

    def __init__(self) -> None:
        self.let_through = threading.Semaphore(0)
        self.waiting = threading.Semaphore(0)
        self.seen: list[list[int]] = []
        self.threads: set[str] = set()
        self.fails_at: int | None = None

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        self.threads.add(threading.current_thread().name)
        self.seen.append([int(row[0]) for row in X])
        self.waiting.release()
        assert self.let_through.acquire(timeout=30)
        if self.fails_at in self.seen[-1]:
            raise ConnectionError("the feature store is away")
        return super().predict(X, names)


def offsets(outcomes: list[Outcome]) -> list[int]:
    return [outcome.record.offset for outcome in outcomes]


def quick(tmp_path: Path, gate: Gate, stopping: threading.Event | None = None) -> Batcher:
    """A worker that has seen its class answer quickly, and has it wait from now on."""
    settings = load_settings({})
    in_flight = InFlight(tmp_path, "worker", "group")
    is_stopping = stopping.is_set if stopping else lambda: False
    worker = Batcher(settings, UserModel(gate), in_flight, Watchdog(), "worker", is_stopping)
    gate.let_through.release()
    worker.answer(collections.deque(ndarray([[n, n]], n) for n in range(8)))
    assert gate.waiting.acquire(timeout=30)
    gate.seen.clear()
    gate.threads.clear()
    return worker


def held_in(folder: Path) -> list[tuple[int, int]]:
    """Ranges of offsets that a successor would take for guilty if the worker died now."""
    return [(each.first, each.last) for each in suspects_of(folder / "worker.in-hand.json")]


def numbered(count: int) -> collections.deque[Record]:
    return collections.deque(ndarray([[n, n]], n) for n in range(count))


class Answers:
    """Answers a backlog in another thread."""

    def __init__(self, worker: Batcher, backlog: collections.deque[Record]) -> None:
        self.outcomes: list[Outcome] = []
        self._thread = threading.Thread(target=lambda: self._run(worker, backlog), daemon=True)
        self._thread.start()

    def _run(self, worker: Batcher, backlog: collections.deque[Record]) -> None:
        self.outcomes.extend(worker.answer(backlog))

    def offsets(self) -> list[int]:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return offsets(self.outcomes)


def test_only_what_the_class_works_at_is_in_hand(tmp_path: Path) -> None:
    gate = Gate()
    worker, backlog = quick(tmp_path, gate), numbered(40)
    answers = Answers(worker, backlog)
    for batch in ((0, 15), (16, 31), (32, 39)):
        assert gate.waiting.acquire(timeout=30)
        # What is read in advance leaves the class's hands soon.
        wait_until(lambda now=[batch]: held_in(tmp_path) == now, 30, f"{batch} is in hand")  # type: ignore[misc]
        gate.let_through.release()
    assert answers.offsets() == list(range(40))
    assert gate.seen == [list(range(16)), list(range(16, 32)), list(range(32, 40))]
    assert held_in(tmp_path) == []
    assert not backlog


def test_the_class_is_called_in_the_thread_that_serves_it(tmp_path: Path) -> None:
    gate = Gate()
    worker = quick(tmp_path, gate)
    gate.let_through.release(100)
    assert offsets(worker.answer(collections.deque([ndarray([[1, 1]], 7)]))) == [7]
    assert len(worker.answer(numbered(60))) == 60
    assert gate.threads == {"main of the worker"}


@pytest.mark.parametrize("fails_at", [0, 17, 39])
def test_passing_trouble_leaves_all_from_the_batch_that_met_it(
    tmp_path: Path, fails_at: int
) -> None:
    gate = Gate()
    worker, backlog = quick(tmp_path, gate), numbered(40)
    gate.fails_at = fails_at
    gate.let_through.release(100)
    first = fails_at // 16 * 16
    if first == 0:
        with pytest.raises(Retriable):
            worker.answer(backlog)
    else:
        assert offsets(worker.answer(backlog)) == list(range(first))
    assert [record.offset for record in backlog] == list(range(first, 40))
    assert held_in(tmp_path) == []
    gate.fails_at = None
    # Those that met it are tried by themselves, to find the one that meets it again.
    assert offsets(worker.answer(backlog)) == [first]
    found = [first]
    while backlog:
        worker.committed({3: found[-1] + 1})
        found += offsets(worker.answer(backlog))
    assert found == list(range(first, 40))


class AwayWhileReading(classes.Double):
    """Its `to_rows` needs something that is away for one of the images."""

    def to_rows(self, payload: Any) -> Any:
        if payload[0][0] == 9:
            raise ConnectionError("the feature store is away")
        return payload


def test_passing_trouble_of_the_batch_being_read_leaves_the_one_before_answered(
    tmp_path: Path,
) -> None:
    worker, backlog = successor(tmp_path, [], AwayWhileReading()), numbered(20)
    assert offsets(worker.answer(backlog)) == list(range(8))
    assert [record.offset for record in backlog] == list(range(8, 20))
    assert offsets(worker.answer(backlog)) == [8]
    with pytest.raises(Retriable):
        worker.answer(backlog)
    assert worker.failed_single
    assert len(backlog) == 11


def test_who_is_told_to_leave_keeps_what_is_not_answered_for_others(tmp_path: Path) -> None:
    gate, stopping = Gate(), threading.Event()
    worker, backlog = quick(tmp_path, gate, stopping), numbered(100)
    answers = Answers(worker, backlog)
    assert gate.waiting.acquire(timeout=30)
    stopping.set()
    gate.let_through.release(10)
    assert answers.offsets() == list(range(16))
    worker.drop_pending()
    assert [record.offset for record in backlog] == list(range(16, 100))
    assert held_in(tmp_path) == []


def test_what_comes_no_longer_next_is_not_answered(tmp_path: Path) -> None:
    gate = Gate()
    worker = quick(tmp_path, gate)
    gate.let_through.release(100)
    # A transaction of one batch, so that the class goes on with the next ones.
    shrink_transactions(worker)
    backlog = numbered(100)
    assert offsets(worker.answer(backlog)) == [0]
    # Other partitions are ours now.
    others = collections.deque(ndarray([[n, n]], n) for n in range(500, 510))
    assert offsets(worker.answer(others)) == [500]
    assert [record.offset for record in others] == list(range(501, 510))


def test_what_the_class_did_meanwhile_is_used_in_the_next_transaction(tmp_path: Path) -> None:
    gate = Gate()
    worker = quick(tmp_path, gate)
    gate.let_through.release(1000)
    shrink_transactions(worker)
    backlog = numbered(60)
    found: list[int] = []
    while backlog:
        outcomes = worker.answer(backlog)
        found += offsets(outcomes)
        worker.committed({3: outcomes[-1].record.offset + 1})
    assert found == list(range(60))
    assert [number for seen in gate.seen for number in seen] == list(range(60))


def test_while_brokers_are_waited_for_the_class_is_asked_about_more_and_more(
    tmp_path: Path,
) -> None:
    gate, stopping = Gate(), threading.Event()
    worker = quick(tmp_path, gate, stopping)
    shrink_transactions(worker)
    gate.let_through.release(1000)
    backlog = numbered(2000)
    assert offsets(worker.answer(backlog)) == [0]
    steps = 0
    while worker.submit_one_more(backlog):
        steps += 1
    assert 0 < steps < 20, "what is read in advance is bounded"
    assert len(backlog) == 1999, "it is still to be answered"
    assert offsets(worker.answer(backlog)) == [1]
    stopping.set()
    assert not worker.submit_one_more(backlog), "nothing is begun by who is to leave"
    worker.drop_pending()


class Deadly(classes.Double):
    """Ends its worker at some rows, as a crash does."""

    def __init__(self, rows: set[int]) -> None:
        self.rows = rows

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        if self.rows & {int(row[0]) for row in X}:
            raise Death
        return super().predict(X, names)


class Death(BaseException):
    pass


def test_only_guilty_messages_are_convicted_whatever_is_asked_in_advance(tmp_path: Path) -> None:
    committed, convicted = 0, []
    for _ in range(30):
        in_flight = InFlight(tmp_path, "worker", "group")
        settings = load_settings({})
        served = UserModel(Deadly({3, 4, 9, 10, 37}))
        worker = Batcher(settings, served, in_flight, Watchdog(), "worker", lambda: False)
        backlog = collections.deque(ndarray([[n, n]], n) for n in range(committed, 60))
        # Its answers wait for a commit that it may not live to see.
        with contextlib.suppress(Death):
            while backlog:
                outcomes = worker.answer(backlog)
                convicted += [
                    each.record.offset for each in outcomes if isinstance(each, Rejection)
                ]
                committed = outcomes[-1].record.offset + 1
                worker.committed({3: committed})
        if committed == 60:
            break
    assert committed == 60
    assert sorted(set(convicted)) == [3, 4, 9, 10, 37]


def test_signals_are_looked_after_once_the_class_was_called_and_while_nothing_comes(
    tmp_path: Path,
) -> None:
    looks: list[str] = []

    class Seen(classes.Double):
        def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
            looks.append("call")
            return super().predict(X, names)

    settings = load_settings({})
    worker = Batcher(
        settings,
        UserModel(Seen()),
        InFlight(tmp_path, "worker", "group"),
        Watchdog(),
        "worker",
        lambda: False,
        keep_signals=lambda: looks.append("look"),
    )
    worker.answer(collections.deque([ndarray([[1, 1]], 7)]))
    place = looks.index("call")
    wait_until(lambda: looks[place + 1 :].count("look") >= 3, 30, "signals are looked after")
    assert "look" in looks[:place]
