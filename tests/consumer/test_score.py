"""Counts of answers: accuracy, latency, duplicates and gaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.answers import Answer, Label
from consumer.score import Latencies, OffsetsSeen, Score


def reply(offset: int, label: str = "o", truth: str | None = None, sent: int = 0) -> Answer:
    known = () if truth is None else (truth,)
    return Answer(("in", 0, offset), None, "w", sent, known, (Label(label, 0.9),))


def letter(offset: int) -> Answer:
    return Answer(("in", 0, offset), None, "w", 0, reason="bad_shape", message="m")


@given(st.lists(st.integers(0, 30)))
def test_seen_offsets_are_recognised_in_any_order(offsets: list[int]) -> None:
    seen, known = OffsetsSeen(), set[int]()
    for offset in offsets:
        assert seen.add(offset) == (offset not in known)
        known.add(offset)
    between = set(range(min(known), max(known))) if known else set()
    assert seen.missing() == len(between - known)


def test_consecutive_offsets_are_one_range() -> None:
    seen = OffsetsSeen()
    for offset in range(100_000):
        seen.add(offset)
    assert len(seen._starts) == 1


@given(st.lists(st.floats(0.2, 1e6), min_size=1), st.sampled_from([0, 50, 99, 100]))
def test_percentiles_are_exact_to_two_percent(values: list[float], percent: int) -> None:
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    exact = float(np.percentile(values, percent, method="inverted_cdf"))
    assert latencies.percentile(percent) == pytest.approx(exact, rel=0.02)


def test_without_latencies_there_is_no_percentile() -> None:
    assert Latencies().percentile(50) is None


def test_answers_in_order_have_no_duplicates_gaps_or_disorder() -> None:
    score = Score()
    for offset in range(5):
        score.add(reply(offset), 1.0)
    assert (score.duplicates, score.gaps, score.out_of_order) == (0, 0, 0)


def test_a_second_answer_is_a_duplicate_also_as_a_dead_letter() -> None:
    score = Score()
    for answer in (reply(0), reply(1), reply(0), letter(1)):
        score.add(answer, 1.0)
    assert score.duplicates == 2


def test_an_unanswered_input_is_a_gap_until_its_dead_letter_comes() -> None:
    score = Score()
    for answer in (reply(0), reply(2)):
        score.add(answer, 1.0)
    assert score.gaps == 1
    score.add(letter(1), 1.0)
    assert score.gaps == 0
    assert score.out_of_order == 0  # the dead-letter topic has an order of its own


def test_a_reply_after_its_successor_is_out_of_order() -> None:
    score = Score()
    for offset in (0, 2, 1, 3):
        score.add(reply(offset), 1.0)
    assert (score.out_of_order, score.duplicates) == (1, 0)


def test_accuracy_counts_the_images_whose_truth_is_known() -> None:
    score = Score()
    before = score.accuracy
    assert before is None
    for answer in (reply(0, "o", "o"), reply(1, "ki", "o"), reply(2, "ki")):
        score.add(answer, 1.0)
    assert (score.known, score.right) == (2, 1)
    assert score.accuracy == 0.5
    assert score.confusion == {("o", "o"): 1, ("o", "ki"): 1}


def test_latency_counts_only_for_inputs_sent_after_the_start() -> None:
    score = Score(started_ms=1000)
    assert score.add(reply(0, sent=400), 1500) is None
    assert score.add(reply(1, sent=1400), 1500) == 100
    assert score.latencies.percentile(50) == pytest.approx(100, rel=0.02)


def test_the_rate_is_messages_per_second_from_the_first_to_the_last() -> None:
    score = Score()
    assert score.rate is None
    for number in range(11):
        score.add(reply(number), 1000 + 100 * number)
    assert score.rate == pytest.approx(11)


def test_a_message_without_an_input_position_is_counted_separately() -> None:
    score = Score()
    score.add(Answer(None, None, "", None, labels=(Label("o", 1),)), 1.0)
    assert (score.without_position, score.answered, score.gaps) == (1, 1, 0)
