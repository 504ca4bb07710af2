"""The declaration of a row-wise class is checked at a limited cost."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from seldon_core.user_model import SeldonResponse

from seldon_kafka.codec.plain import masked
from seldon_kafka.messages import Prediction
from seldon_kafka.pipeline.stack_check import (
    MOST_LAYOUTS,
    MOST_SHARE,
    NO_LIMIT,
    SAMPLE_CALLS,
    SAMPLE_SHARE,
    StackCheck,
    difference,
)
from tests.support import classes
from tests.support.records import answers, ndarray, pipeline, record


def predicted(data: Any, **tags: Any) -> Prediction:
    return Prediction(data, (), tags, (), [])


def test_the_first_stacks_hold_two_and_eight_messages_and_all_of_them_are_checked() -> None:
    check = StackCheck()
    for messages in (2, 8):
        assert check.limit("layout") == messages
        assert check.chosen("layout", messages) == list(range(messages))
        check.passed("layout", messages, 0.001)
    assert check.limit("layout") == NO_LIMIT


def test_beyond_sixty_four_layouts_nothing_is_stacked() -> None:
    check = StackCheck()
    assert [check.limit(number) for number in range(MOST_LAYOUTS + 3)] == [2] * 64 + [0] * 3


def checked(single_s: float, stacks: int) -> tuple[float, float]:
    """Returns the seconds of a layout's first checks and of its samples, for stacks of 3 ms."""
    check = StackCheck(random.Random(1))
    for messages in (2, 8):
        check.limit("layout")
        check.passed("layout", messages, single_s * messages)
    sampled_s = 0.0
    for _ in range(stacks):
        check.answered(0.003)
        chosen = check.chosen("layout", 256)
        if chosen:
            assert len(chosen) == SAMPLE_CALLS
            check.passed("layout", len(chosen), single_s * len(chosen))
            sampled_s += single_s * len(chosen)
    return 10 * single_s, sampled_s


def test_samples_take_half_a_percent_of_the_models_time() -> None:
    _, sampled_s = checked(0.001, 20_000)
    assert 0.9 * SAMPLE_SHARE < sampled_s / (20_000 * 0.003) < 1.001 * SAMPLE_SHARE


def test_all_checks_take_two_percent_of_the_models_time_after_the_first_stacks() -> None:
    first_s, sampled_s = checked(0.1, 20_000)
    assert first_s + sampled_s <= MOST_SHARE * 20_000 * 0.003
    first_s, sampled_s = checked(0.1, 10_000)
    assert sampled_s == 0.0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.array([[1.0, 2.0]]), np.array([[1.00005, 2.0]])),
        (np.array([1, 2]), np.array([1, 2])),
        ([1.0, "a", None], [1.000001, "a", None]),
        ({"a": [1]}, {"a": [1]}),
        (np.array([np.nan]), np.array([np.nan])),
        (np.array(["a"]), np.array(["a"])),
    ],
)
def test_answers_are_alike_by_form_and_nearly_by_value(first: Any, second: Any) -> None:
    assert difference(predicted(first), predicted(second)) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.array([1.0]), np.array([1.001])),
        (np.array([1.0]), np.array([1])),
        (np.array([[1.0]]), np.array([1.0])),
        (np.array([1.0]), [1.0]),
        ([1.0], [1]),
        ({"a": 1}, {"b": 1}),
        ([1], [1, 1]),
        ("a", "b"),
        (np.array([np.nan]), np.array([1.0])),
        (masked.array([1.0], mask=[True]), np.array([1.0])),
    ],
)
def test_other_forms_and_values_differ(first: Any, second: Any) -> None:
    assert difference(predicted(first), predicted(second))


def test_tags_are_compared_too() -> None:
    one = predicted(np.array([1.0]), label=["a"])
    assert difference(one, one) is None
    assert difference(one, predicted(np.array([1.0]), label=["b"]))


class FromTen:
    """Is row-wise at first; from ten rows on it subtracts the mean of the stack."""

    row_wise = True

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        self.calls.append(len(X))
        if len(X) > 1:
            # The duration of a stack; checks may take a share of it.
            time.sleep(0.001)
        return X - X.mean() if len(X) >= 10 else X * 1.0


class Fails:
    """Declares that it is row-wise; raises for a 5 alone, but not in a stack."""

    row_wise = True

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        if len(X) == 1 and X[0][0] == 5:
            raise ValueError("a five by itself")
        return X * 2


class Speaks:
    """Has a tag of the whole call, which it declares to be constant."""

    row_wise = True
    constant_tags = ("most",)

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return SeldonResponse(X, tags={"most": int(X.max())})


def numbered(numbers: Iterable[int]) -> list[Any]:
    return [ndarray([[number]], number) for number in numbers]


def test_a_sample_finds_what_the_first_stacks_do_not_show() -> None:
    switches: list[str] = []
    instance = FromTen()
    found = pipeline(instance, on_switch=switches.append)
    for start in range(0, 200_000, 200):
        outcomes = answers(found.run(numbered(range(start, start + 200))).outcomes)
        if switches:
            break
    assert "is answered differently than its messages" in switches[0]
    assert [answer["data"]["ndarray"] for answer in outcomes] == [
        [[float(number)]] for number in range(start, start + 200)
    ]
    instance.calls.clear()
    found.run(numbered(range(50)))
    assert instance.calls == [1] * 50


def test_after_a_difference_only_the_message_that_raises_alone_is_rejected() -> None:
    switches: list[str] = []
    outcomes = answers(
        pipeline(Fails(), on_switch=switches.append).run(numbered(range(8))).outcomes
    )
    assert outcomes[5] == "predict_failed"
    assert [answer["data"]["ndarray"] for answer in outcomes if answer != "predict_failed"] == [
        [[2 * number]] for number in range(8) if number != 5
    ]
    assert "a single call fails" in switches[0]


def test_a_constant_tag_that_changes_ends_the_stacking() -> None:
    switches: list[str] = []
    found = answers(pipeline(Speaks(), on_switch=switches.append).run(numbered([3, 1, 2])).outcomes)
    assert [answer["meta"]["tags"]["most"] for answer in found] == [3, 1, 2]
    assert len(switches) == 1


def test_a_tag_that_is_not_declared_leads_to_single_calls() -> None:
    class Undeclared(classes.Tagged):
        constant_tags: tuple[str, ...] = ()

    switches: list[str] = []
    tagged = Undeclared()
    records = [ndarray([[n, 0]], n) for n in range(10)]
    answers(pipeline(tagged, on_switch=switches.append).run(records).outcomes)
    assert "the tag 'model'" in switches[0]
    assert tagged.calls == [2, *[1] * 10]


def test_rows_in_one_call_are_limited() -> None:
    calls: list[int] = []

    class Counts(classes.Double):
        def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
            calls.append(len(X))
            return X

    found = pipeline(Counts(), batch_rows=100)
    records = [ndarray([[n, 1]] * 30, n) for n in range(40)]
    for _ in range(3):
        assert len(answers(found.run(records).outcomes)) == 40
    assert max(calls) == 90
    calls.clear()
    found.run([ndarray([[1, 1]] * 500, 1)])
    assert calls == [500]


def test_a_width_that_was_never_answered_is_the_senders_fault() -> None:
    class TakesTwo:
        def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
            return X @ np.ones((2, 1))

    found = pipeline(TakesTwo())
    (first,) = found.run([ndarray([[1, 2, 3]], 0)]).outcomes
    assert getattr(first, "failed", None) is True
    found.run([ndarray([[1, 2]], 1)])
    (later,) = found.run([ndarray([[1, 2, 3]], 2)]).outcomes
    assert (getattr(later, "reason", ""), getattr(later, "failed", None)) == ("bad_shape", False)


class WrongFromFiveRowsOn:
    row_wise = True

    def predict(self, rows: Any, names: Any) -> Any:
        return rows * 2 if len(rows) < 5 else rows * 2 + 1


def test_a_batch_that_ends_early_after_a_difference_has_no_later_answers() -> None:
    cautious = pipeline(WrongFromFiveRowsOn(), may_go_on=lambda: False)
    records = [ndarray([[number, 1]], number) for number in range(20)]
    found = []
    while records:
        outcomes = cautious.run(records).outcomes
        found += answers(outcomes)
        records = records[len(outcomes) :]
    assert [reply["data"]["ndarray"] for reply in found] == [[[2 * n, 2]] for n in range(20)]


class ReportsWhenAlone:
    row_wise = True

    def predict(self, rows: Any, names: Any) -> Any:
        metrics = [{"type": "COUNTER", "key": "one", "value": 1}] if len(rows) == 1 else []
        return SeldonResponse(rows * 2, metrics=metrics)


def test_metrics_of_single_calls_lead_to_single_calls() -> None:
    switches: list[str] = []
    reporting = pipeline(ReportsWhenAlone(), on_switch=switches.append)
    replies = answers(reporting.run([ndarray([[n, 1]], n) for n in range(3)]).outcomes)
    assert all(reply["meta"]["metrics"] for reply in replies)
    assert "a single message reports metrics" in switches[0]


class TakesFeaturesOut:
    def to_rows(self, payload: Any) -> Any:
        if isinstance(payload, dict):
            return np.array([payload.pop("features")])
        return np.array([payload[0].pop("features")])

    def predict(self, rows: Any, names: Any) -> Any:
        return rows * 2


@pytest.mark.parametrize("nest", [lambda features: features, lambda features: [features]])
def test_a_class_may_take_a_payload_apart(nest: Any) -> None:
    switches: list[str] = []
    taking = pipeline(TakesFeaturesOut(), on_switch=switches.append)
    documents = [{"jsonData": nest({"features": [n, 1]})} for n in range(3)]
    records = [record(json.dumps(each).encode(), n) for n, each in enumerate(documents)]
    replies = answers(taking.run(records).outcomes)
    assert [reply["data"]["tensor"]["values"] for reply in replies] == [
        [2 * n, 2] for n in range(3)
    ]
    assert not switches


class DropsEmptyRows:
    def to_rows(self, payload: Any) -> Any:
        rows = np.asarray(payload)
        return rows[rows[:, 0] > 0]

    def predict(self, rows: Any, names: Any) -> Any:
        return rows.tolist()


def test_a_message_whose_rows_are_all_dropped_is_answered_as_alone() -> None:
    records = [ndarray([[n, 1]], n) for n in range(3)]
    (alone,) = answers(pipeline(DropsEmptyRows()).run(records[:1]).outcomes)
    together = answers(pipeline(DropsEmptyRows()).run(records).outcomes)
    assert together[0] == alone
