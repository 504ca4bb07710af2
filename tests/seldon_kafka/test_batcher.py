"""Batches of consumed records, and how a worker isolates records at which others died."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seldon_kafka.config.settings import load_settings
from seldon_kafka.errors import Retriable
from seldon_kafka.messages import Outcome, Record, Rejection
from seldon_kafka.pipeline.batch import Batch, BatchState
from seldon_kafka.pipeline.pipeline import Pipeline
from seldon_kafka.pipeline.stack_check import NoCheck
from seldon_kafka.pipeline.user_model import UserModel
from seldon_kafka.worker.batcher import Batcher
from seldon_kafka.worker.in_flight import InFlight, suspects_of
from seldon_kafka.worker.watchdog import Watchdog
from tests.support import classes
from tests.support.records import die_with, ndarray
from tests.support.stream import wait_until

NewBatcher = Callable[..., Batcher]


@pytest.fixture
def new_batcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewBatcher]:
    """Creates batchers, each with a thread that runs its user model as a main thread does.

    Stacks are not checked, so that calls can be counted.
    """
    monkeypatch.setattr(
        "seldon_kafka.worker.batcher.Pipeline", functools.partial(Pipeline, check=NoCheck())
    )
    made: list[Batcher] = []

    def make(
        instance: Any = None,
        is_stopping: Callable[[], bool] = lambda: False,
        environ: dict[str, str] | None = None,
        **options: Any,
    ) -> Batcher:
        in_flight = InFlight(tmp_path, "worker", "group")
        user_model = UserModel(instance or classes.Double())
        settings = load_settings(environ or {})
        batcher = Batcher(
            settings, user_model, in_flight, Watchdog(), "worker", is_stopping, **options
        )
        made.append(batcher)
        threading.Thread(target=batcher.serve, name="main of the worker", daemon=True).start()
        return batcher

    yield make
    for batcher in made:
        batcher.close()


def numbered(count: int, first: int = 0) -> list[Record]:
    return [ndarray([[n, n]], n) for n in range(first, first + count)]


def outcomes(batches: list[Batch]) -> list[Outcome]:
    return [outcome for batch in batches for outcome in batch.outcomes]


def offsets(batches: list[Batch]) -> list[int]:
    return [outcome.record.offset for outcome in outcomes(batches)]


def commit(batcher: Batcher, batches: list[Batch]) -> None:
    batcher.committed(batches, {3: offsets(batches)[-1] + 1})


def shrink_transactions(batcher: Batcher) -> None:
    """Simulates failed commits until a transaction has one message."""
    for _ in range(12):
        batcher.not_committed()


def unanswered(batcher: Batcher) -> list[int]:
    """Answers the remaining records, and returns their offsets."""
    found: list[int] = []
    while len(batcher):
        batches = batcher.answer()
        found += offsets(batches)
        commit(batcher, batches)
    return found


def test_records_of_a_dead_worker_are_single_in_growing_transactions(
    new_batcher: NewBatcher, tmp_path: Path
) -> None:
    records = numbered(100)
    die_with(InFlight(tmp_path, "worker", "group"), records[:60])
    batcher = new_batcher()
    batcher.add(records)
    transactions = []
    while len(batcher):
        batches = batcher.answer()
        transactions.append(len(offsets(batches)))
        commit(batcher, batches)
    assert transactions[:6] == [1, 2, 4, 8, 16, 29 + 40]
    assert sum(transactions) == 100


def test_a_transaction_after_failed_ones_is_small(new_batcher: NewBatcher) -> None:
    batcher = new_batcher()
    shrink_transactions(batcher)
    batcher.add(numbered(100))
    assert offsets(batcher.answer()) == [0]


def test_a_batch_is_read_then_answered_then_published(new_batcher: NewBatcher) -> None:
    batcher = new_batcher()
    batcher.add(numbered(3))
    (batch,) = batcher.answer()
    assert batch.state is BatchState.ANSWERED
    batcher.committed([batch], {3: 3})
    assert batch.state is BatchState.PUBLISHED  # type: ignore[comparison-overlap]


def test_the_queue_is_bounded_by_records_and_by_bytes(new_batcher: NewBatcher) -> None:
    batcher = new_batcher(environ={"KAFKA_COMMIT_MESSAGES": "5"})
    assert batcher.room() == 10
    batcher.add(numbered(4))
    assert batcher.room() == 6
    batcher.add(numbered(6, 4))
    assert batcher.room() == 0
    batcher.clear()
    large = numbered(1)[0]._replace(value=b"x" * (40 * 1024 * 1024))
    batcher.add([large])
    assert batcher.room() == 0
    batcher.answer()
    assert batcher.room() == 10


class Clocked(classes.Double):
    """Takes this number of seconds for each row, by a clock of its own."""

    def __init__(self, seconds: float) -> None:
        self.calls: list[int] = []
        self.now = 0.0
        self.seconds = seconds

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        self.calls.append(len(X))
        self.now += self.seconds * len(X)
        return super().predict(X, names)


@pytest.mark.parametrize(("seconds", "most"), [(0.3, 8), (0.001, 512), (3.0, 1)])
def test_batches_of_a_slow_class_stay_small(
    new_batcher: NewBatcher, seconds: float, most: int
) -> None:
    slow = Clocked(seconds)
    batcher = new_batcher(slow, clock=lambda: slow.now)
    for record in numbered(40):
        batcher.add([record])
        batcher.answer()
    assert max(slow.calls) == 1
    batcher.add(numbered(4000))
    for _ in range(60):
        if len(batcher):
            batcher.answer()
    assert max(slow.calls) == most
    assert slow.calls[-1] * seconds <= max(2.0, seconds)


class Gate(classes.Double):
    """Waits in each call until it is released, and stores the thread of the call."""

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


def quick(
    new_batcher: NewBatcher, gate: Gate, is_stopping: Callable[[], bool] = lambda: False
) -> Batcher:
    """Returns a batcher whose model answered quickly; from now on the model waits."""
    batcher = new_batcher(gate, is_stopping)
    gate.let_through.release()
    batcher.add(numbered(8))
    batcher.answer()
    assert gate.waiting.acquire(timeout=30)
    gate.seen.clear()
    gate.threads.clear()
    return batcher


def in_flight(folder: Path) -> list[tuple[int, int]]:
    """Returns the offset ranges that a successor would suspect if the worker died now."""
    return [(each.first, each.last) for each in suspects_of(folder / "worker.in-hand.json")]


class Answering:
    """Answers records in another thread."""

    def __init__(self, batcher: Batcher) -> None:
        self._batches: list[Batch] = []
        self._thread = threading.Thread(
            target=lambda: self._batches.extend(batcher.answer()), daemon=True
        )
        self._thread.start()

    def offsets(self) -> list[int]:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return offsets(self._batches)


def test_only_the_records_of_the_running_call_are_in_flight(
    new_batcher: NewBatcher, tmp_path: Path
) -> None:
    gate = Gate()
    batcher = quick(new_batcher, gate)
    batcher.add(numbered(40))
    answering = Answering(batcher)
    for batch in ((0, 15), (16, 31), (32, 39)):
        assert gate.waiting.acquire(timeout=30)
        # Records that are decoded ahead are in flight only for a moment.
        wait_until(lambda now=[batch]: in_flight(tmp_path) == now, 30, f"{batch} is in flight")  # type: ignore[misc]
        gate.let_through.release()
    assert answering.offsets() == list(range(40))
    assert gate.seen == [list(range(16)), list(range(16, 32)), list(range(32, 40))]
    assert in_flight(tmp_path) == []
    assert not len(batcher)


def test_the_class_is_called_in_the_thread_that_serves_it(new_batcher: NewBatcher) -> None:
    gate = Gate()
    batcher = quick(new_batcher, gate)
    gate.let_through.release(100)
    batcher.add(numbered(1, 7))
    assert offsets(batcher.answer()) == [7]
    batcher.add(numbered(60))
    assert len(offsets(batcher.answer())) == 60
    assert gate.threads == {"main of the worker"}


@pytest.mark.parametrize("fails_at", [0, 17, 39])
def test_a_temporary_error_leaves_its_batch_and_all_after_it(
    new_batcher: NewBatcher, tmp_path: Path, fails_at: int
) -> None:
    gate = Gate()
    batcher = quick(new_batcher, gate)
    batcher.add(numbered(40))
    gate.fails_at = fails_at
    gate.let_through.release(100)
    first = fails_at // 16 * 16
    if first == 0:
        with pytest.raises(Retriable):
            batcher.answer()
    else:
        assert offsets(batcher.answer()) == list(range(first))
    assert (len(batcher), batcher.next_record.offset) == (40 - first, first)
    wait_until(lambda: in_flight(tmp_path) == [], 30, "no call is under way")
    gate.fails_at = None
    # Its records are tried one by one, to find the one that causes the error.
    batches = batcher.answer()
    assert offsets(batches) == [first]
    commit(batcher, batches)
    assert unanswered(batcher) == list(range(first + 1, 40))


class UnavailableForNine(classes.Double):
    """Its `to_rows` raises a ConnectionError for one of the images."""

    def to_rows(self, payload: Any) -> Any:
        if payload[0][0] == 9:
            raise ConnectionError("the feature store is away")
        return payload


def test_a_temporary_error_ahead_leaves_the_batch_before_it_answered(
    new_batcher: NewBatcher,
) -> None:
    batcher = new_batcher(UnavailableForNine())
    batcher.add(numbered(20))
    assert offsets(batcher.answer()) == list(range(8))
    assert batcher.next_record.offset == 8
    assert offsets(batcher.answer()) == [8]
    with pytest.raises(Retriable):
        batcher.answer()
    assert batcher.failed_single
    assert len(batcher) == 11


def test_another_record_is_probed_without_taking_any(new_batcher: NewBatcher) -> None:
    batcher = new_batcher(UnavailableForNine())
    batcher.add(numbered(11, 9))
    with pytest.raises(Retriable):
        batcher.answer()
    assert batcher.probe()
    assert (len(batcher), batcher.next_record.offset) == (11, 9)
    batcher.give_up(batcher.next_record, "it keeps failing")
    batches = batcher.answer()
    (given_up,) = outcomes(batches)
    assert isinstance(given_up, Rejection)
    assert given_up.reason == "retries_exhausted"
    commit(batcher, batches)
    assert unanswered(batcher) == list(range(10, 20))


def test_a_worker_that_is_told_to_leave_answers_only_the_running_batch(
    new_batcher: NewBatcher, tmp_path: Path
) -> None:
    gate, stopping = Gate(), threading.Event()
    batcher = quick(new_batcher, gate, stopping.is_set)
    batcher.add(numbered(100))
    answering = Answering(batcher)
    assert gate.waiting.acquire(timeout=30)
    stopping.set()
    gate.let_through.release(10)
    assert answering.offsets() == list(range(16))
    assert (len(batcher), batcher.next_record.offset) == (84, 16)
    batcher.settle()
    assert not len(batcher)
    assert in_flight(tmp_path) == []


def test_predictions_for_revoked_partitions_are_dropped(new_batcher: NewBatcher) -> None:
    gate = Gate()
    batcher = quick(new_batcher, gate)
    gate.let_through.release(100)
    # A transaction of one batch, so that the model continues with the next ones.
    shrink_transactions(batcher)
    batcher.add([*numbered(100), *(record._replace(partition=4) for record in numbered(5, 200))])
    assert offsets(batcher.answer()) == [0]
    batcher.drop({3})
    assert len(batcher) == 5
    batcher.add([record._replace(partition=4) for record in numbered(5, 205)])
    batches = [batch for _ in range(10) for batch in batcher.answer()]
    assert offsets(batches) == list(range(200, 210))


def test_a_revocation_does_not_wait_for_a_running_prediction(new_batcher: NewBatcher) -> None:
    gate = Gate()
    batcher = quick(new_batcher, gate)
    batcher.add(numbered(16, 100))
    assert batcher.submit_one_more()
    assert gate.waiting.acquire(timeout=30)
    batcher.drop({3})
    assert not len(batcher)
    # The model still predicts the dropped batch, and the next batch waits for it.
    batcher.add(numbered(4, 300))
    gate.let_through.release(100)
    assert offsets(batcher.answer()) == list(range(300, 304))


def test_batches_that_wait_at_a_revocation_are_never_predicted(new_batcher: NewBatcher) -> None:
    gate = Gate()
    batcher = quick(new_batcher, gate)
    batcher.add(numbered(32, 100))
    assert batcher.submit_one_more()
    assert batcher.submit_one_more()
    assert gate.waiting.acquire(timeout=30)
    batcher.drop({3})
    batcher.add(numbered(4, 300))
    gate.let_through.release(100)
    assert offsets(batcher.answer()) == list(range(300, 304))
    assert gate.seen == [list(range(100, 116)), list(range(300, 304))]


def test_predictions_made_ahead_are_used_in_the_next_transaction(new_batcher: NewBatcher) -> None:
    gate = Gate()
    batcher = quick(new_batcher, gate)
    gate.let_through.release(1000)
    shrink_transactions(batcher)
    batcher.add(numbered(60))
    assert unanswered(batcher) == list(range(60))
    assert [number for seen in gate.seen for number in seen] == list(range(60))


def test_further_batches_are_submitted_during_a_request_to_the_brokers(
    new_batcher: NewBatcher,
) -> None:
    gate, stopping = Gate(), threading.Event()
    batcher = quick(new_batcher, gate, stopping.is_set)
    shrink_transactions(batcher)
    gate.let_through.release(1000)
    batcher.add(numbered(2000))
    assert offsets(batcher.answer()) == [0]
    steps = 0
    while batcher.submit_one_more():
        steps += 1
    assert 0 < steps < 20, "the batches ahead are bounded"
    assert len(batcher) == 1999
    assert offsets(batcher.answer()) == [1]
    stopping.set()
    assert not batcher.submit_one_more(), "a worker that is to leave begins nothing"
    batcher.settle()


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


def test_only_messages_that_kill_workers_are_rejected(
    new_batcher: NewBatcher,
) -> None:
    committed, rejected = 0, []
    for _ in range(30):
        batcher = new_batcher(Deadly({3, 4, 9, 10, 37}))
        batcher.add(numbered(60 - committed, committed))
        # The answers wait for a commit that the worker may not reach.
        with contextlib.suppress(Death):
            while len(batcher):
                batches = batcher.answer()
                rejected += [
                    each.record.offset for each in outcomes(batches) if isinstance(each, Rejection)
                ]
                committed = offsets(batches)[-1] + 1
                commit(batcher, batches)
        if committed == 60:
            break
    assert committed == 60
    assert sorted(set(rejected)) == [3, 4, 9, 10, 37]


def test_a_worker_that_ends_with_an_error_still_names_its_records_in_flight(
    new_batcher: NewBatcher, tmp_path: Path
) -> None:
    idle = threading.Semaphore(0)
    batcher = new_batcher(Deadly({3}), keep_signals=idle.release)
    batcher.add(numbered(8))
    with pytest.raises(Death):
        batcher.answer()
    while idle.acquire(timeout=0.1):
        pass
    assert in_flight(tmp_path) == [(0, 7)]


def test_signal_handlers_are_checked_at_a_call_and_while_idle(
    new_batcher: NewBatcher,
) -> None:
    looks: list[str] = []

    class Seen(classes.Double):
        def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
            looks.append("call")
            return super().predict(X, names)

    batcher = new_batcher(Seen(), keep_signals=lambda: looks.append("look"))
    batcher.add(numbered(1, 7))
    batcher.answer()
    call = looks.index("call")
    wait_until(lambda: looks[call + 1 :].count("look") >= 3, 30, "signals are looked after")
    assert "look" in looks[:call]
