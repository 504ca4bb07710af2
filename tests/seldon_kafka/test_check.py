"""`seldon-kafka check` reports whether a class may be batched."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from seldon_kafka.cli import main


def request(folder: Path, text: str) -> str:
    """Returns a file with the value of a message."""
    path = folder / "request.json"
    path.write_text(text)
    return str(path)


@pytest.fixture
def payload(tmp_path: Path) -> str:
    return request(tmp_path, '{"data":{"ndarray":[[1,2],[3,5]]}}')


def run(capsys: Any, *arguments: str) -> tuple[int, str]:
    status = main(["check", *arguments])
    captured = capsys.readouterr()
    return status, captured.out + captured.err


def test_a_row_wise_class_passes(capsys: Any, payload: str) -> None:
    status, said = run(capsys, "tests.support.classes.Double", "--payload", payload)
    assert status == 0
    assert "with many messages at once" in said
    assert "the same answers singly and stacked" in said
    assert re.search(
        r"64 messages \(\d\d different\), singly and in batches of 2, 3, 8, 33, 64", said
    )


def test_a_class_whose_answers_change_in_a_batch_is_found(
    capsys: Any, payload: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"data":{"ndarray":[[100,200]]}}')
    status, said = run(
        capsys, "tests.support.classes.Centred", "--payload", payload, "--payload", str(other)
    )
    assert status == 0
    assert "in batches of 2: reply.data.ndarray[0][0] differs by" in said
    assert "the class is called message by message, as it must be" in said


KINDS = [
    ("state.KeptBuffer", "it changes an answer after the call returned it"),
    ("state.ReusedList", "it changes an answer after the call returned it"),
    ("rows.TagsOfAll", "tag 'rows'"),
    ("rows.MetricsOfAll", "metrics, which describe a whole call"),
    ("rows.FirstRow", "does not answer row by row"),
    ("rows.LabelAndScore", "does not answer row by row"),
    ("rows.Transposed", "does not answer row by row"),
    ("rows.ConstantList", "does not answer row by row"),
    ("rows.Centred", "in batches of 2"),
    ("rows.MinMax", "in batches of 2"),
    ("rows.Ranks", "in batches of 2"),
    ("rows.Cumulative", "in batches of 2"),
    ("rows.OneHot", "in batches of 2"),
    ("rows.Noisy", "in batches of 2"),
    ("rows.Guarded", "in batches of 2"),
    ("state.DoublesInPlace", "it changes its input array"),
    ("rows.Squeezed", "in batches of 2"),
    ("rows.AnyWholeOrFraction", "in batches of 2"),
    ("state.CountsCalls", "it answers the same message differently in a second call"),
    ("rows.MaskedRows", "its answers have masked values"),
]


@pytest.mark.parametrize(("name", "part"), KINDS, ids=[name for name, _ in KINDS])
def test_each_kind_of_class_that_is_not_row_wise_is_found(
    capsys: Any, tmp_path: Path, name: str, part: str
) -> None:
    payloads = [[[1, 2]], [[0.5, 7]], [[-3, 4]]]
    arguments = []
    for number, rows in enumerate(payloads):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps({"data": {"ndarray": rows}}))
        arguments += ["--payload", str(path)]
    status, said = run(capsys, f"tests.compatibility.classes.{name}", *arguments)
    assert status == 0
    assert part in said


@pytest.mark.parametrize("name", ["FalselyCentred", "FalselyTransposed", "FalselyTagsOfAll"])
def test_a_false_declaration_fails(capsys: Any, payload: str, name: str) -> None:
    status, said = run(capsys, f"tests.compatibility.classes.declared.{name}", "--payload", payload)
    assert status == 1
    assert "the class declares itself row-wise, and is not" in said


def test_the_reason_for_single_messages_is_printed(capsys: Any, payload: str) -> None:
    status, said = run(capsys, "tests.support.classes.TakesMeta", "--payload", payload)
    assert status == 0
    assert "message by message: predict takes meta" in said


def test_rejected_payloads_are_shown(capsys: Any, tmp_path: Path) -> None:
    path = request(tmp_path, "nonsense")
    status, said = run(capsys, "tests.support.classes.Double", "--payload", path)
    assert status == 1
    assert "not_json" in said


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("no_such_module.Model", "can't import 'no_such_module'"),
        ("tests.support.classes.Missing", "no class 'Missing'"),
        ("tests.support.classes.Double", "--payload FILE"),
    ],
)
def test_the_error_for_wrong_use_is_one_line(capsys: Any, name: str, part: str) -> None:
    status, said = run(capsys, name)
    assert status == 2
    assert part in said


@pytest.mark.parametrize("name", ["Scaled", "MeanTaken", "MinMaxTaken"])
def test_a_class_that_scales_by_the_whole_call_is_found(
    capsys: Any, tmp_path: Path, name: str
) -> None:
    path = request(tmp_path, '{"data":{"ndarray":[[1,2,3]]}}')
    status, said = run(capsys, f"tests.support.classes.{name}", "--payload", path)
    assert status == 0
    assert "the class is called message by message, as it must be" in said


@pytest.mark.parametrize(
    "text",
    [
        '{"instances":[[1,2,3]]}',
        '{"inputs":[{"name":"x","datatype":"FP64","shape":[1,3],"data":[1,2,3]}]}',
    ],
)
def test_messages_of_other_formats_are_varied_too(capsys: Any, tmp_path: Path, text: str) -> None:
    path = request(tmp_path, text)
    _, said = run(capsys, "tests.support.classes.MeanTaken", "--payload", path)
    assert "the class is called message by message, as it must be" in said


def test_equal_messages_give_no_recommendation(capsys: Any, tmp_path: Path) -> None:
    path = request(tmp_path, '{"data":{"ndarray":[[0, 0, 0]]}}')
    status, said = run(capsys, "tests.support.classes.MeanTaken", "--payload", path)
    assert status == 0
    assert "64 messages (1 different)" in said
    assert "too similar" in said


def test_missing_values_are_answered_as_the_setting_says(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, payload: str
) -> None:
    status, said = run(capsys, "tests.support.classes.AnswersNan", "--payload", payload)
    assert (status, "bad_prediction" in said) == (1, True)
    monkeypatch.setenv("KAFKA_NON_FINITE", "null")
    status, said = run(capsys, "tests.support.classes.AnswersNan", "--payload", payload)
    assert (status, "rejected" in said) == (0, False)
