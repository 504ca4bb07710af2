"""What a worker takes on after another has died with messages in hand."""

from __future__ import annotations

import collections
import time
from pathlib import Path
from typing import Any

import pytest

from kafka.messages import Record
from kafka.served_class import ServedClass
from kafka.settings import load_settings
from kafka.worker.answering import Answering
from kafka.worker.in_hand import InHand
from kafka.worker.watchdog import Watchdog
from tests import classes
from tests.kafka.helpers import ndarray


def successor(folder: Path, held: list[Record], served: Any = None) -> Answering:
    """A worker whose predecessor died with these records in hand."""
    InHand(folder, "worker", "group").hold(held)
    settings = load_settings({}, use_local_cluster=False)
    served = ServedClass(served or classes.Double())
    in_hand = InHand(folder, "worker", "group")
    return Answering(settings, served, in_hand, Watchdog(), "worker", lambda: False)


def test_what_was_in_hand_is_taken_alone_with_ever_more_in_a_transaction(tmp_path: Path) -> None:
    backlog = collections.deque(ndarray([[n, n]], n) for n in range(100))
    worker = successor(tmp_path, list(backlog)[:60])
    transactions = []
    while backlog:
        outcomes = worker.answer(backlog)
        transactions.append(len(outcomes))
        worker.published({outcomes[-1].record.partition: outcomes[-1].record.offset + 1})
    assert transactions[:6] == [1, 2, 4, 8, 16, 29 + 40]
    assert sum(transactions) == 100


def test_a_transaction_that_did_not_get_through_is_followed_by_ever_smaller_ones(
    tmp_path: Path,
) -> None:
    worker = successor(tmp_path, [])
    for _ in range(12):
        worker.not_published()
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


@pytest.mark.parametrize(("seconds", "most"), [(0.3, 8), (0.001, 256), (3.0, 1)])
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
