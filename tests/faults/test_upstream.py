"""The transactional sender of the faults, with brokers that fail while it sends."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from seldon_kafka.config.settings import load_settings
from tests.faults.catalogue import upstream
from tests.faults.load import Load


class FailingTwice:
    """A producer whose first two transactions fail."""

    failed = 0
    made = 0

    def begin_transaction(self) -> None:
        pass

    def produce(self, *_: Any, **__: Any) -> None:
        pass

    def poll(self, _: float) -> None:
        pass

    def flush(self, _: float) -> None:
        pass

    def commit_transaction(self, _: float) -> None:
        if FailingTwice.failed < 2:
            FailingTwice.failed += 1
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))


def test_only_committed_messages_are_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    def another(context: Any) -> FailingTwice:
        FailingTwice.made += 1
        return FailingTwice()

    monkeypatch.setattr(upstream, "_transactional", another)
    settings = load_settings({"KAFKA_BROKER": "127.0.0.1:1"})
    load = Load(settings, threading.Event())
    context: Any = SimpleNamespace(load=load, sleep=lambda seconds: None)
    (committed,) = (f for f in upstream.FAULTS if f.name == "upstream: a transactional producer")
    assert committed.inject(context) == "6 transactions of 60 messages; 2 more failed"
    assert FailingTwice.made == 3
    assert load.sent == 8 * 60
    assert [n for n in range(load.sent) if n in load.confirmed] == list(range(2 * 60, 8 * 60))
