"""Answers become rows, rows become parts, and the first answer of each object counts."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from consumer import parquet
from consumer.__main__ import main
from consumer.answers import Answer, Label
from consumer.collect import Collection
from consumer.parquet import Parts, rows_of
from producer.locations import Location, LocationError, open_location
from producer.results import Results, Row, part_name
from tests.consumer.test_answers import FakeMessage

TWO = Answer(
    ("in", 3, 42),
    "k",
    "w.0",
    1,
    ("ya",),
    (
        Label("ya", 0.75, outlier=True, probabilities=(("ya", 0.75), ("o", 0.25))),
        Label("t:1", 0.5, abstain=True),
    ),
    model="kmnist-fast",
    object="a.png",
)
DEAD = Answer(None, None, "w.0", 1, reason="bad_shape", message="expected 784")


def test_a_message_has_a_row_for_each_image() -> None:
    first, second = rows_of(TWO, 7)
    assert first == Row(
        object="a.png",
        key="k",
        row=0,
        label="ya",
        hiragana="や",
        confidence=0.75,
        abstain=False,
        outlier=True,
        probabilities=(0.75, 0.25),
        truth="ya",
        model="kmnist-fast",
        worker="w.0",
        partition=3,
        offset=42,
        timestamp_ms=1,
        collected_ms=7,
    )
    assert (second.row, second.label, second.hiragana, second.truth) == (1, "t:1", None, None)


def test_an_answer_without_labels_has_one_row_with_the_reason() -> None:
    (dead,) = rows_of(DEAD, 7)
    assert (dead.reason, dead.message, dead.label) == ("bad_shape", "expected 784", None)
    assert (dead.object, dead.partition) == (None, None)
    (unreadable,) = rows_of(Answer(None, None, "", None, message="no JSON"), 7)
    assert (unreadable.reason, unreadable.message) == ("unreadable_reply", "no JSON")


def parts_in(folder: Path) -> list[int]:
    """Returns the number of rows of each part."""
    return [pq.read_metadata(path).num_rows for path in sorted(folder.glob("part-*.parquet"))]


@pytest.fixture
def committed() -> list[int]:
    """The number of parts at each commit."""
    return []


@pytest.fixture
def parts(tmp_path: Path, committed: list[int]) -> Parts:
    return Parts(
        Results(open_location(tmp_path)), 3, lambda: committed.append(len(parts_in(tmp_path)))
    )


def test_a_part_is_written_when_it_has_enough_rows_and_then_committed(
    parts: Parts, tmp_path: Path, committed: list[int]
) -> None:
    parts.take(TWO)
    parts.flush_if_due()
    assert parts_in(tmp_path) == []
    parts.take(TWO)
    parts.flush_if_due()
    assert (parts_in(tmp_path), committed) == ([4], [1])


def test_a_part_is_written_after_its_time(
    parts: Parts, tmp_path: Path, committed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.take(DEAD)
    monkeypatch.setattr(parquet, "PART_S", 0.0)
    parts.flush_if_due()
    parts.flush_if_due()
    # Messages without a row are committed as well.
    assert (parts_in(tmp_path), committed) == ([1], [1, 1])


def test_the_last_part_is_written_at_the_end_even_after_ctrl_c(
    parts: Parts, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt), parts:
        parts.take(DEAD)
        raise KeyboardInterrupt
    assert parts_in(tmp_path) == [1]


def test_a_part_that_cannot_be_written_is_neither_committed_nor_retried(
    parts: Parts, committed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[str] = []

    def fail(_: Location, name: str, __: bytes) -> None:
        attempts.append(name)
        raise LocationError("full")

    monkeypatch.setattr(Location, "write", fail)
    with pytest.raises(LocationError, match="full"), parts:
        parts.take(DEAD)
        parts.flush()
    assert len(attempts) == 1
    assert committed == []


def reply(name: str, run: str = "spring", label: str = "o") -> FakeMessage:
    document = {"data": {"names": [label], "ndarray": [[1.0]]}}
    headers = [("run", run.encode()), ("object", name.encode())]
    return FakeMessage(json.dumps(document).encode(), headers)


def letter(name: str) -> FakeMessage:
    headers = [("run", b"spring"), ("object", name.encode()), ("kafka-dead-reason", b"bad_image")]
    return FakeMessage(b"?", headers, "dead")


def rows_from(collection: Collection, *messages: FakeMessage) -> list[Row | None]:
    return [collection.row(each) for each in messages]  # type: ignore[arg-type]


def test_the_first_answer_of_each_object_counts() -> None:
    collection = Collection("spring", {"a", "b", "c"}, "dead")
    mark = FakeMessage(None, [("object", b"c"), ("kafka-dead-replayed", b"0:1")], "dead")
    rows = rows_from(collection, reply("a", label="o"), letter("b"), reply("a", label="ki"),
                 reply("b"), reply("elsewhere"), mark)  # fmt: skip
    assert [row and (row.object, row.label, row.reason) for row in rows] == [
        ("a", "o", None),
        ("b", None, "bad_image"),
        None,
        None,
        None,
        None,
    ]
    assert collection.missing == {"c"}
    assert (collection.rows, collection.total) == (2, 3)
    assert collection.reasons == {"bad_image": 1}


def test_messages_of_other_runs_are_not_of_the_run() -> None:
    collection = Collection("spring", {"a"}, "dead")
    others = [reply("a", run="autumn"), FakeMessage(b"", [("object", b"a")])]
    assert not any(map(collection.is_of_run, others))  # type: ignore[arg-type]
    assert collection.is_of_run(reply("a"))  # type: ignore[arg-type]


def test_rows_of_excluded_objects_are_not_written(parts: Parts, tmp_path: Path) -> None:
    parts.add([Row("a", "a", 0), Row("b", "b", 0)])
    assert parts.flush({"a"}) == 1
    assert pq.read_table(tmp_path).column("object").to_pylist() == ["b"]
    assert part_name() != part_name()


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--run", "x"], "--run goes with --parquet LOCATION and --of LOCATION"),
        (["--run", "x", "--parquet", "p"], "--run goes with --parquet LOCATION and --of LOCATION"),
        (["--of", "x"], "go with --run"),
        (["--since", "2h"], "go with --run"),
        (["--parquet", "p", "--json"], "not allowed with"),
        (["--run", "x", "--parquet", "p", "--of", "o", "--group", "g"], "--group does not go"),
        (
            ["--run", "x", "--parquet", "p", "--of", "o", "--since", "soon"],
            "is not a time such as 2h",
        ),
    ],
)
def test_options_that_exclude_each_other_are_a_usage_error(
    arguments: list[str], advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert advice in capsys.readouterr().err
