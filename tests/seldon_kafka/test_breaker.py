"""Consumption stops if the model fails on most of its messages, and not before."""

from __future__ import annotations

import pytest

from seldon_kafka.config.settings import load_settings
from seldon_kafka.messages import Outcome, Rejection, Reply
from seldon_kafka.worker.breaker import Breaker
from tests.support.records import record

GOOD = Reply(record(b"x"), b"", ())
FAILED = Rejection(record(b"x"), "predict_failed", "a bad deployment", failed=True)
WRONG = Rejection(record(b"x"), "not_json", "nonsense")


def why(batches: list[list[Outcome]], **environ: str) -> str | None:
    breaker = Breaker.of(load_settings(environ))
    reason = None
    for batch in batches:
        breaker, met = breaker.with_outcomes(batch)
        reason = reason or met
    return reason


def test_a_class_that_fails_in_a_row_stops_consumption_across_batches() -> None:
    assert why([[FAILED] * 60, [FAILED] * 39]) is None
    reason = why([[FAILED] * 60, [FAILED] * 40])
    assert reason is not None
    assert "100 messages in a row" in reason
    assert "a bad deployment" in reason


def test_one_answer_between_failures_resets_their_count() -> None:
    assert why([[FAILED] * 99, [GOOD], [FAILED] * 99]) is None


def test_a_class_that_fails_at_most_of_its_messages_stops_consumption() -> None:
    assert why([[GOOD, FAILED] * 200]) is None
    reason = why([[GOOD, FAILED, FAILED] * 100])
    assert reason is not None
    assert "of the last 200 messages" in reason


def test_no_sender_can_stop_consumption_by_default() -> None:
    assert why([[WRONG] * 1000]) is None
    assert why([[WRONG] * 10], KAFKA_MAX_REJECTED_CONSECUTIVE="10") is not None


def test_zero_switches_a_limit_off() -> None:
    off = {"KAFKA_MAX_FAILED_CONSECUTIVE": "0", "KAFKA_MAX_FAILED_RATIO": "0"}
    assert why([[FAILED] * 1000], **off) is None


def test_failures_in_a_row_inside_one_batch_are_noticed() -> None:
    good: list[Outcome] = [GOOD] * 200
    bad: list[Outcome] = [FAILED, FAILED, GOOD] * 66
    assert why([good + bad + good]) is not None


def test_failures_of_predecessors_count() -> None:
    breaker = Breaker.of(load_settings({}))
    metadata = breaker.with_outcomes([FAILED] * 98)[0].metadata
    assert breaker.inheriting(metadata).with_outcomes([FAILED])[1] is None
    assert breaker.inheriting(metadata).with_outcomes([FAILED] * 2)[1] is not None
    worst = breaker.inheriting("failed=3").inheriting(metadata).inheriting("failed=7")
    assert worst.metadata == metadata


def test_a_repaired_class_does_not_inherit_the_failures_of_its_predecessor() -> None:
    breaker = Breaker.of(load_settings({})).inheriting("failed=99")
    breaker, met = breaker.with_outcomes([FAILED, GOOD, FAILED])
    assert met is None
    assert breaker.metadata == "failed=1"
    breaker, _ = breaker.with_outcomes([GOOD])
    assert breaker.metadata == ""
    assert breaker.inheriting("failed=99").with_outcomes([FAILED])[1] is None, "it is proven here"


@pytest.mark.parametrize("metadata", ["", "failed=", "failed=x", "another's", "failed=12345678901"])
def test_metadata_of_other_programs_are_ignored(metadata: str) -> None:
    assert Breaker.of(load_settings({})).inheriting(metadata).metadata == ""


def test_bad_messages_of_senders_do_not_hide_that_the_class_always_fails() -> None:
    assert why([[FAILED, WRONG, WRONG] * 100]) is not None
    assert why([[FAILED, WRONG, GOOD] * 100]) is None
