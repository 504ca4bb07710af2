"""The number of answers out of order."""

from __future__ import annotations

from tests.kubernetes.traffic import KEYS, Answer, inversions


def answer(number: int, at_s: float, partition: int = 0) -> Answer:
    return Answer(f"run-{number}", 0, "", partition, at_s)


def test_answers_to_one_key_in_their_order_are_in_order() -> None:
    assert inversions([answer(0, 1.0), answer(KEYS, 1.0), answer(2 * KEYS, 2.0)]) == 0


def test_an_earlier_message_of_a_key_with_a_later_answer_counts() -> None:
    assert inversions([answer(KEYS, 1.0), answer(0, 2.0)]) == 1
    assert inversions([answer(KEYS, 1.0), answer(0, 1.0)]) == 1


def test_different_keys_have_no_order() -> None:
    assert inversions([answer(1, 1.0), answer(0, 2.0)]) == 0


def test_answers_of_one_millisecond_in_two_partitions_have_no_order() -> None:
    assert inversions([answer(KEYS, 1.0, partition=1), answer(0, 1.0, partition=2)]) == 0


def test_a_repeated_answer_is_not_out_of_order() -> None:
    assert inversions([answer(0, 1.0), answer(0, 2.0)]) == 0
