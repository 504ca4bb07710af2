"""The true labels of feedback, in each form that Seldon's clients have."""

from __future__ import annotations

from typing import Any

import pytest

from seldon_kafka.codec.feedback import labels_of
from seldon_kafka.errors import REASONS, Rejected


@pytest.mark.parametrize(
    ("truth", "labels"),
    [
        ({"strData": "ki"}, ("ki",)),
        ({"data": {"ndarray": ["ki", "す"]}}, ("ki", "す")),
        ({"data": {"ndarray": [["ki"], ["su"]]}}, ("ki", "su")),
        ({"data": {"ndarray": [3, 4.0, 2.5]}}, ("3", "4", "2.5")),
        ({"data": {"ndarray": ["ki", None, ""]}}, ("ki", "", "")),
        ({"data": {"ndarray": []}}, ()),
        ({"data": {"tensor": {"shape": [2], "values": [1, 9.0]}}}, ("1", "9")),
        ({"data": {"tensor": {"shape": [2, 1], "values": [1, 9]}}}, ("1", "9")),
        (None, ()),
        ({}, ()),
    ],
)
def test_a_label_of_each_row_is_read_as_text(truth: Any, labels: tuple[str, ...]) -> None:
    assert labels_of(truth) == labels


def test_of_one_number_for_each_class_the_largest_counts() -> None:
    assert labels_of({"data": {"ndarray": [[0, 0, 1], [0.2, 0.7, 0.1]]}}) == ("2", "1")
    tensor = {"shape": [2, 3], "values": [0, 0, 1, 0.2, 0.7, 0.1]}
    assert labels_of({"data": {"tensor": tensor}}) == ("2", "1")


def test_columns_are_matched_by_name_if_they_have_names() -> None:
    data = {"names": ["o", "ki", "su"], "ndarray": [[0, 0, 1]]}
    assert labels_of({"data": data}) == ("su",)
    assert labels_of({"data": {**data, "names": ["o", "ki"]}}) == ("2",)


def test_several_largest_numbers_give_no_label() -> None:
    assert labels_of({"data": {"ndarray": [[0, 0, 0], [0.5, 0.5, 0]]}}) == ("", "")


@pytest.mark.parametrize(
    "truth",
    [
        "ki",
        [1],
        {"binData": "AAAA"},
        {"jsonData": ["ki"]},
        {"strData": ["ki"]},
        {"strData": "x" * 257},
        {"data": "ki"},
        {"data": {}},
        {"data": {"ndarray": "ki"}},
        {"data": {"ndarray": [True]}},
        {"data": {"ndarray": [{"label": "ki"}]}},
        {"data": {"ndarray": [[]]}},
        {"data": {"ndarray": [["ki", "su"]]}},
        {"data": {"ndarray": [[[1, 0]]]}},
        {"data": {"ndarray": [[0, 1]], "names": {"a": 1}}},
        {"data": {"ndarray": [[0, 1]], "names": [1, {}]}},
        {"data": {"tensor": [1]}},
        {"data": {"tensor": {"shape": [2], "values": [1]}}},
        {"data": {"tensor": {"shape": [-1, -1], "values": [1]}}},
        {"data": {"tensor": {"shape": [1, 1, 1], "values": [1]}}},
        {"data": {"tensor": {"shape": [10**9, 10**9], "values": []}}},
    ],
)
def test_truth_without_labels_is_refused(truth: Any) -> None:
    with pytest.raises(Rejected) as refusal:
        labels_of(truth)
    assert refusal.value.reason in REASONS
    assert refusal.value.message
