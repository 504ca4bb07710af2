"""What a worker takes on after another has died with messages in hand."""

from __future__ import annotations

import collections
from pathlib import Path

from kafka.messages import Record
from kafka.served_class import ServedClass
from kafka.settings import load_settings
from kafka.worker.answering import Answering
from kafka.worker.in_hand import InHand
from kafka.worker.watchdog import Watchdog
from tests import classes
from tests.kafka.helpers import ndarray


def successor(folder: Path, held: list[Record]) -> Answering:
    """A worker whose predecessor died with these records in hand."""
    InHand(folder, "worker").hold(held)
    settings = load_settings({}, use_local_cluster=False)
    served = ServedClass(classes.Double())
    in_hand = InHand(folder, "worker")
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
