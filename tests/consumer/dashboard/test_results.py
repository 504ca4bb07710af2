"""The log of results: bounded, filtered, and the same for all who look."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consumer.answers import Answer, Label
from consumer.dashboard.results import Filter, ResultLog
from consumer.dashboard.rows import as_csv, as_json, filter_of, query_of, row_of

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
    return Answer(place=("in", 0, offset), timestamp_ms=0, labels=labels, **more)


def log_of(*answers: Answer, most: int = 1000) -> ResultLog:
    log = ResultLog(most)
    for each in answers:
        log.add(each, ("out", 0, 0), 0.0, 1.0)
    return log


KI, SU = Label("ki", 0.9), Label("su", 0.4, abstain=True)


def test_the_newest_stand_first_and_the_oldest_are_forgotten() -> None:
    log = log_of(*(answer(n, KI) for n in range(100)), most=40)
    window = log.window(Filter(), 0, 5)
    assert [each.number for each in window.results] == [100, 99, 98, 97, 96]
    assert 40 <= window.total <= 45
    assert log.find(1) is None
    found = log.find(100)
    assert found is not None
    assert found.answer.place == ("in", 0, 99)


def test_a_page_that_stands_still_sees_the_same_while_others_come() -> None:
    log = log_of(*(answer(n, KI) for n in range(10)))
    before = log.window(Filter(), 2, 3)
    log.add(answer(10, KI, KI), ("out", 0, 0), 0.0, None)
    assert log.window(Filter(), 2, 3, until=before.newest).results == before.results
    assert log.window(Filter(label="ki"), 2, 3, until=before.newest).results == before.results


@given(st.lists(st.lists(LABELS, max_size=3), max_size=20), FILTERS)
def test_windows_put_together_are_all_that_a_filter_takes(
    messages: list[list[Label]], chosen: Filter
) -> None:
    log = log_of(*(answer(n, *labels) for n, labels in enumerate(messages)))
    pages = [log.window(chosen, first, 4).results for first in range(0, 80, 4)]
    assert [each for page in pages for each in page] == log.every(chosen)
    assert all(chosen.takes(each, log.truth(each)) for each in log.every(chosen))


def test_each_condition_leaves_out_what_it_should() -> None:
    dead = answer(2, reason="bad_shape", worker="b")
    log = log_of(answer(0, KI, truth=("ki",)), answer(1, SU, truth=("ki",)), dead)

    def taken(**conditions: Any) -> list[int]:
        return [each.answer.place[2] for each in log.every(Filter(**conditions))]  # type: ignore[index]

    assert taken() == [2, 1, 0]
    assert (
        taken(label="su") == taken(abstained=True) == taken(below=0.5) == taken(wrong=True) == [1]
    )
    assert taken(worker="b") == taken(dead=True) == [2]
    assert taken(outlier=True) == []


def test_a_correction_counts_more_than_what_the_sender_said() -> None:
    log = log_of(answer(0, KI, truth=("ki",)))
    log.correct((("in", 0, 0), 0), "su")
    (result,) = log.every(Filter(wrong=True))
    assert log.truth(result) == "su"
    assert row_of(result, 0, log)["right"] is False


@given(FILTERS)
def test_a_filter_comes_back_from_an_address(chosen: Filter) -> None:
    assert filter_of(query_of(chosen)) == chosen


@given(st.text(), st.text())
def test_files_say_what_is_in_the_log_and_start_no_formula(key: str, message: str) -> None:
    log = log_of(answer(0, KI, key=key), answer(1, key="=1+1", reason="bad", message=message))
    written = "".join(as_csv(log.every(Filter()), log))
    found = list(csv.DictReader(io.StringIO(written, newline="")))
    assert found[0]["key"] == "'=1+1"
    assert found[1]["label"] == "ki"
    assert not any(
        str(cell).startswith(("=", "+", "-", "@")) for row in found for cell in row.values()
    )
    document = json.loads("".join(as_json(log.every(Filter()), log)))
    assert [each["key"] for each in document] == ["=1+1", key]


def test_an_empty_log_is_a_file_too() -> None:
    log = ResultLog()
    assert json.loads("".join(as_json(log.every(Filter()), log))) == []
    assert "".join(as_csv(log.every(Filter()), log)).startswith("number,")
