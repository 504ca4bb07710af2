"""Results: complete parts with one row per image, and the objects that have a row."""

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


def of_run(folder: Path, run: str = "spring", objects: str = "scans") -> Results:
    return Results.of_run(str(folder / "results"), run, open_location(folder / objects))


def test_any_reader_of_parquet_can_read_a_part(tmp_path: Path) -> None:
    of_run(tmp_path).write(part_name(), [ROW, DEAD])
    first, second = pq.read_table(tmp_path / "results").to_pylist()
    assert first["run"] == second["run"] == "spring"
    assert (first["object"], first["label"], first["hiragana"]) == ("a.png", "ya", "や")
    assert (first["confidence"], first["probabilities"]) == (0.5, [0.5, 0.25])
    assert (first["abstain"], first["outlier"], first["offset"]) == (True, False, 2**40)
    assert first["timestamp"] == datetime(2023, 11, 14, 22, 13, 20, 1000, timezone.utc)
    assert (second["reason"], second["message"]) == ("bad_image", "no PNG")
    assert second["label"] is second["probabilities"] is second["timestamp"] is None


def test_objects_in_parts_of_other_writers_are_returned_once(tmp_path: Path) -> None:
    first, second = of_run(tmp_path), of_run(tmp_path)
    first.write(part_name(), [ROW])
    assert first.new_objects() == set()
    assert second.new_objects() == {"a.png"}
    second.write(part_name(), [DEAD])
    assert first.new_objects() == {"b.png"}
    assert first.new_objects() == set()


def test_a_second_write_with_the_same_name_replaces_the_part(tmp_path: Path) -> None:
    results, name = of_run(tmp_path), part_name()
    results.write(name, [ROW])
    results.write(name, [ROW])
    assert pq.read_table(tmp_path / "results").num_rows == 1


def test_runs_do_not_share_parts(tmp_path: Path) -> None:
    of_run(tmp_path).write(part_name(), [ROW])
    assert of_run(tmp_path, "autumn").new_objects() == set()


def test_a_run_with_objects_of_another_location_is_refused(tmp_path: Path) -> None:
    of_run(tmp_path).write(part_name(), [ROW])
    with pytest.raises(LocationError, match=r"scans/, not of .*others/: choose another run name"):
        of_run(tmp_path, objects="others").new_objects()


@pytest.mark.parametrize("folder", ["scans", "scans/results"])
def test_a_location_of_results_inside_that_of_the_objects_is_refused(
    tmp_path: Path, folder: str
) -> None:
    with pytest.raises(LocationError, match="choose another location"):
        Results.of_run(str(tmp_path / folder), "spring", open_location(tmp_path / "scans"))


def test_other_files_are_ignored_and_the_error_for_a_broken_part_names_it(tmp_path: Path) -> None:
    results = of_run(tmp_path)
    results.location.write("notes.txt", b"another file")
    results.location.write(".part-1.parquet.tmp", b"half")
    assert results.new_objects() == set()
    results.location.write("part-1.parquet", b"broken")
    with pytest.raises(LocationError, match=r"part-1\.parquet is not a part of these results"):
        results.new_objects()
