"""The log of results: it is limited, filtered, and the same for all pages."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.answers import Answer, Label
from consumer.dashboard.results import ResultLog
from consumer.dashboard.rows import as_csv, as_json, filter_of, query_of, row_of
from consumer.dashboard.selection import Filter, Selection

LABELS = st.builds(
    Label,
    name=st.sampled_from(["ki", "su"]),
    confidence=st.floats(0, 1),
    abstain=st.booleans(),
    outlier=st.booleans(),
)
FILTERS = st.builds(
    Filter,
    label=st.sampled_from(["", "ki"]),
    worker=st.sampled_from(["", "a"]),
    abstained=st.booleans(),
    outlier=st.booleans(),
    below=st.none() | st.floats(0, 1).map(lambda each: round(each, 3)),
    wrong=st.booleans(),
    dead=st.booleans(),
)


def answer(offset: int, *labels: Label, **more: Any) -> Answer:
    more.setdefault("key", "key")
    more.setdefault("worker", "a")
    return Answer(input_position=("in", 0, offset), timestamp_ms=0, labels=labels, **more)


def log_of(*answers: Answer, most: int = 1000) -> ResultLog:
    log = ResultLog(most)
    for each in answers:
        log.add(each, ("out", 0, 0), 0.0, 1.0)
    return log


KI, SU = Label("ki", 0.9), Label("su", 0.4, abstain=True)


def test_the_newest_results_come_first_and_the_oldest_are_dropped() -> None:
    log = log_of(*(answer(n, KI) for n in range(100)), most=40)
    window = Selection(log, Filter()).window(0, 5)
    assert [each.number for each in window.results] == [100, 99, 98, 97, 96]
    assert 40 <= window.total <= 45
    assert log.find(1) is None
    found = log.find(100)
    assert found is not None
    assert found.answer.input_position == ("in", 0, 99)


def test_only_selected_results_count_as_newer() -> None:
    log = log_of(answer(0, KI))
    only_ki = Selection(log, Filter(label="ki"))
    for n in range(1, 4):
        log.add(answer(n, KI if n == 2 else SU), ("out", 0, n), 0.0, None)
    assert only_ki.window(0, 5, until=1).newer == 1
    assert only_ki.window(0, 5).newer == 0


@pytest.mark.parametrize("truth", ["su", "す", "2", " SU "])
def test_a_truth_may_be_romaji_hiragana_or_the_number_of_the_class(
    truth: str,
) -> None:
    log = log_of(answer(0, Label("ki", 0.9, probabilities=(("ki", 0.9), ("su", 0.1)))))
    log.correct((("in", 0, 0), 0), truth)
    (result,) = log.after(0)
    assert log.truth(result) == "su"


def test_a_truth_that_is_a_class_name_of_the_model_is_kept() -> None:
    log = log_of(answer(0, Label("7", 0.9, probabilities=(("7", 0.9), ("2", 0.1)))))
    log.correct((("in", 0, 0), 0), "2")
    (result,) = log.after(0)
    assert log.truth(result) == "2"


def test_a_fixed_window_stays_the_same_while_results_come() -> None:
    log = log_of(*(answer(n, KI) for n in range(10)))
    unfiltered, only_ki = Selection(log, Filter()), Selection(log, Filter(label="ki"))
    before = unfiltered.window(2, 3)
    log.add(answer(10, KI, KI), ("out", 0, 0), 0.0, None)
    for selection in (unfiltered, only_ki):
        assert selection.window(2, 3, until=before.newest).results == before.results


@given(st.lists(st.lists(LABELS, max_size=3), max_size=20), FILTERS)
def test_all_windows_together_are_the_selection(
    messages: list[list[Label]], chosen: Filter
) -> None:
    log = log_of(*(answer(n, *labels) for n, labels in enumerate(messages)))
    selection = Selection(log, chosen)
    pages = [selection.window(first, 4).results for first in range(0, 80, 4)]
    selected = [each for each in reversed(log.after(0)) if chosen.matches(each, log.truth(each))]
    assert [each for page in pages for each in page] == selected == selection.all()


@given(st.lists(st.lists(LABELS, max_size=3), max_size=20), FILTERS, st.integers(1, 30))
def test_an_updated_selection_equals_a_new_one(
    messages: list[list[Label]], chosen: Filter, most: int
) -> None:
    log = ResultLog(most)
    kept = Selection(log, chosen)
    for number, labels in enumerate(messages):
        log.add(answer(number, *labels, truth=("ki",)), ("out", 0, number), 0.0, None)
        if number % 3 == 2:
            log.correct((("in", 0, number - 1), 0), "su")
        if number % 2:
            assert kept.all() == Selection(log, chosen).all()
    assert kept.window(0, 3) == Selection(log, chosen).window(0, 3)


def test_each_condition_selects_its_results() -> None:
    dead = answer(2, reason="bad_shape", worker="b")
    log = log_of(answer(0, KI, truth=("ki",)), answer(1, SU, truth=("ki",)), dead)

    def selected(**conditions: Any) -> list[int]:
        results = Selection(log, Filter(**conditions)).all()
        return [each.answer.input_position[2] for each in results]  # type: ignore[index]

    assert selected() == [2, 1, 0]
    assert (
        selected(label="su")
        == selected(abstained=True)
        == selected(below=0.5)
        == selected(wrong=True)
        == [1]
    )
    assert selected(worker="b") == selected(dead=True) == [2]
    assert selected(outlier=True) == []


def test_a_correction_replaces_the_senders_truth() -> None:
    log = log_of(answer(0, KI, truth=("ki",)))
    log.correct((("in", 0, 0), 0), "su")
    (result,) = Selection(log, Filter(wrong=True)).all()
    assert log.truth(result) == "su"
    assert row_of(result, 0, log)["right"] is False


@given(FILTERS)
def test_a_filter_survives_the_way_through_an_address(chosen: Filter) -> None:
    assert filter_of(query_of(chosen)) == chosen


@given(st.text(), st.text())
def test_files_have_the_results_and_no_formulas(key: str, message: str) -> None:
    log = log_of(answer(0, KI, key=key), answer(1, key="=1+1", reason="bad", message=message))
    written = "".join(as_csv(Selection(log, Filter()).all(), log))
    found = list(csv.DictReader(io.StringIO(written, newline="")))
    assert found[0]["key"] == "'=1+1"
    assert found[1]["label"] == "ki"
    assert not any(
        str(cell).startswith(("=", "+", "-", "@")) for row in found for cell in row.values()
    )
    document = json.loads("".join(as_json(Selection(log, Filter()).all(), log)))
    assert [each["key"] for each in document] == ["=1+1", key]


def test_an_empty_log_is_a_valid_file() -> None:
    log = ResultLog()
    assert json.loads("".join(as_json(Selection(log, Filter()).all(), log))) == []
    assert "".join(as_csv(Selection(log, Filter()).all(), log)).startswith("number,")
