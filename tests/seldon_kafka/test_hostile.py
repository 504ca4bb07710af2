"""Any message is answered or rejected with a reason, and harms no neighbour."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seldon_kafka.errors import REASONS
from seldon_kafka.messages import Outcome, Record, Rejection, Reply
from seldon_kafka.pipeline.pipeline import Pipeline
from seldon_kafka.pipeline.user_model import UserModel
from tests.support import classes
from tests.support.hostile import Hostile, good_messages, hostile_messages
from tests.support.records import record, rejection
from wrapper import KmnistClassifier

MAX_BYTES = 1_000_000


@pytest.fixture(scope="module")
def classifier() -> Pipeline:
    instance = KmnistClassifier()
    instance.load()
    return Pipeline(UserModel(instance), MAX_BYTES)


def value_of(outcome: Outcome) -> bytes:
    assert isinstance(outcome, Reply)
    return outcome.value


@settings(deadline=None, max_examples=300)
@given(st.lists(hostile_messages(), min_size=1, max_size=5))
def test_hostile_messages_are_the_senders_fault_and_their_neighbours_are_answered(
    classifier: Pipeline, hostile: list[Hostile]
) -> None:
    good = good_messages()[0]
    messages = [good, *hostile, good]
    records = [
        record(message.value, offset, message.headers) for offset, message in enumerate(messages)
    ]
    outcomes = classifier.run(records).outcomes
    assert [outcome.record for outcome in outcomes] == records
    for outcome in outcomes:
        if isinstance(outcome, Rejection):
            assert outcome.reason in REASONS
            assert outcome.reason != "undecodable", outcome.message
            assert not outcome.failed, outcome.message
            assert outcome.message
    (alone,) = classifier.run(records[:1]).outcomes
    assert value_of(outcomes[0]) == value_of(alone)


def test_an_unexpected_error_of_the_decoder_is_not_a_failure_of_the_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(message: Record, max_bytes: int) -> None:
        raise IndexError("a gap")

    monkeypatch.setattr("seldon_kafka.codec.batch.decode", broken)
    (outcome,) = Pipeline(UserModel(classes.Double()), MAX_BYTES).run([record(b"[]")]).outcomes
    assert rejection(outcome).reason == "undecodable"
    assert not rejection(outcome).failed
    assert "IndexError: a gap" in rejection(outcome).message
