"""Results: parts that are whole, one row an image, and which objects have one."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from producer.locations import LocationError, open_location
from producer.results import Results, Row, part_name

ROW = Row(
    object="a.png",
    key="a.png",
    row=0,
    label="ya",
    hiragana="や",
    confidence=0.5,
    abstain=True,
    outlier=False,
    probabilities=(0.5, 0.25),
    model="kmnist-fast",
    worker="w.0",
    partition=3,
    offset=2**40,
    timestamp_ms=1_700_000_000_001,
    collected_ms=1_700_000_000_002,
)
DEAD = Row(object="b.png", key="b.png", row=0, reason="bad_image", message="no PNG")


def of_run(folder: Path, run: str = "spring", of: str = "scans") -> Results:
    return Results.of_run(str(folder / "results"), run, open_location(folder / of))


def test_a_part_is_a_table_that_any_reader_of_parquet_understands(tmp_path: Path) -> None:
    of_run(tmp_path).write(part_name(), [ROW, DEAD])
    first, second = pq.read_table(tmp_path / "results").to_pylist()
    assert first["run"] == second["run"] == "spring"
    assert (first["object"], first["label"], first["hiragana"]) == ("a.png", "ya", "や")
    assert (first["confidence"], first["probabilities"]) == (0.5, [0.5, 0.25])
    assert (first["abstain"], first["outlier"], first["offset"]) == (True, False, 2**40)
    assert first["timestamp"] == datetime(2023, 11, 14, 22, 13, 20, 1000, timezone.utc)
    assert (second["reason"], second["message"]) == ("bad_image", "no PNG")
    assert second["label"] is second["probabilities"] is second["timestamp"] is None


def test_objects_of_parts_that_others_wrote_are_told_once(tmp_path: Path) -> None:
    mine, other = of_run(tmp_path), of_run(tmp_path)
    mine.write(part_name(), [ROW])
    assert mine.new_objects() == set()
    assert other.new_objects() == {"a.png"}
    other.write(part_name(), [DEAD])
    assert mine.new_objects() == {"b.png"}
    assert mine.new_objects() == set()


def test_a_part_that_is_written_again_is_the_same_part(tmp_path: Path) -> None:
    results, name = of_run(tmp_path), part_name()
    results.write(name, [ROW])
    results.write(name, [ROW])
    assert pq.read_table(tmp_path / "results").num_rows == 1


def test_runs_are_apart(tmp_path: Path) -> None:
    of_run(tmp_path).write(part_name(), [ROW])
    assert of_run(tmp_path, "autumn").new_objects() == set()


def test_a_run_is_of_one_place(tmp_path: Path) -> None:
    of_run(tmp_path).write(part_name(), [ROW])
    with pytest.raises(LocationError, match=r"scans/, not of .*others/: name another run"):
        of_run(tmp_path, of="others").new_objects()


@pytest.mark.parametrize("folder", ["scans", "scans/results"])
def test_results_are_not_put_among_the_objects(tmp_path: Path, folder: str) -> None:
    with pytest.raises(LocationError, match="name another location"):
        Results.of_run(str(tmp_path / folder), "spring", open_location(tmp_path / "scans"))


def test_other_files_are_passed_over_and_a_broken_part_is_named(tmp_path: Path) -> None:
    results = of_run(tmp_path)
    results.location.write("notes.txt", b"not ours")
    results.location.write(".part-1.parquet.tmp", b"half")
    assert results.new_objects() == set()
    results.location.write("part-1.parquet", b"broken")
    with pytest.raises(LocationError, match=r"part-1\.parquet is no part of these results"):
        results.new_objects()
