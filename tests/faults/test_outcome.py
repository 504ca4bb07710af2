"""The failures of a run, and the text about a run without failures."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.checker import Verdict
from tests.faults.fault import Injection
from tests.faults.outcome import Figures, Outcome, judge
from tests.faults.report import kept, markdown, missed, rows

FIGURES = Figures(
    drain_rate=1000,
    load_rate=530,
    load_s=100,
    rested_s=0,
    partitions=6,
    replicas=2,
    batch_messages=8,
    left_after_s=1,
)
VERDICT = Verdict(53_000, 52_000, 1000, {}, 0, 0, 0, 0, 0, ())
FAULT = next(fault for fault in FAULTS if fault.stall_s == 10)


def injection(stall_s: float, mixed_with: str | None = None) -> Injection:
    return Injection(FAULT.name, 1, 15, stall_s, "seen", mixed_with)


def outcome(*injections: Injection) -> Outcome:
    failures = judge(FIGURES, VERDICT, [], [FAULT], injections)
    return Outcome(7, injections, {}, FIGURES, VERDICT, 0, failures)


def test_a_good_run_is_no_failure() -> None:
    assert judge(FIGURES, VERDICT, [], [FAULT], [injection(3)]) == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"replicas": 1}, "1 replicas answered the load, two were expected"),
        ({"load_rate": 499.0}, "less than 50% of the drain rate"),
        ({"partitions": 3}, "3 partitions are fewer than four"),
        ({"batch_messages": 1.0}, "no more than one message"),
    ],
)
def test_a_run_that_proves_too_little_is_a_failure(change: dict[str, Any], why: str) -> None:
    figures = dataclasses.replace(FIGURES, **change)
    (found,) = judge(figures, VERDICT, [], [FAULT], [injection(3)])
    assert why in found


def test_a_broken_promise_is_a_failure() -> None:
    verdict = dataclasses.replace(VERDICT, lost=1, problems=("lost: message 3",))
    assert judge(FIGURES, verdict, [], [FAULT], [injection(3)]) == ["lost: message 3"]
    (missing,) = judge(FIGURES, VERDICT, [17, 23], [FAULT], [injection(3)])
    assert missing == "2 confirmed messages are not in the input topic: 17, 23"


def test_a_fault_that_was_never_injected_is_a_failure() -> None:
    assert judge(FIGURES, VERDICT, [], [FAULT], []) == [f"never injected: {FAULT.name}"]
    failed = dataclasses.replace(injection(3), failure="FaultNotObserved: it did not")
    assert judge(FIGURES, VERDICT, [], [FAULT], [failed]) == [f"never injected: {FAULT.name}"]


def test_a_stall_above_its_promise_is_reported_and_is_no_failure() -> None:
    late = outcome(injection(12.2), injection(30, mixed_with="another"))
    assert not late.failures
    assert missed(late) == [f"{FAULT.name} held readers up for 12.2 s, not 10 s"]
    (row,) = rows(late)
    assert row == (FAULT.name, "1", "1", "12.2 s (missed)", "10 s", "15.0 s")
    last = kept(7, missed(late))
    assert "every promise" not in last
    assert "promised stalls were exceeded" in last
    assert "12.2 s, not 10 s" in last
    assert "- missed: " in markdown([late])


def test_mixed_faults_have_no_promised_stall() -> None:
    mixed = outcome(injection(30, mixed_with="another"))
    assert missed(mixed) == []
    (row,) = rows(mixed)
    assert row[3] == "30.0 s"
    assert kept(7, []) == "every promise was kept (seed 7)"
