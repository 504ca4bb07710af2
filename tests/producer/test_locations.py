"""Folders and buckets are alike to whoever uses them, and say what is wrong."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pyarrow as pa
import pytest

from producer import locations
from producer.locations import Entry, Location, LocationError, ObjectGone, open_location
from tests.model.stores import answering, reply
from tests.producer.store import BUCKET, Store, s3_store

S3 = f"s3://{BUCKET}"


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with s3_store() as made:
        yield made


@pytest.fixture
def environ(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    for name, value in store.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    return store


@pytest.fixture(params=["folder", "locations"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """An empty location of each kind."""
    if request.param == "folder":
        return open_location(str(tmp_path / "scans"))
    request.getfixturevalue("environ")
    return open_location(f"{S3}/{request.node.name}")


def trouble(location: Location) -> str:
    """What listing it says, in one line."""
    with pytest.raises(LocationError) as raised:
        list(location.entries())
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_what_is_written_is_listed_and_read(location: Location) -> None:
    assert list(location.entries()) == []
    location.write("b.png", b"12")
    location.write("deep/er/a b+c.png", b"")
    location.below("deep").write("ひ.png", b"3")
    location.write("b.png", b"123")
    assert set(location.entries()) == {
        Entry("b.png", 3),
        Entry("deep/er/a b+c.png", 0),
        Entry("deep/ひ.png", 1),
    }
    assert set(location.below("deep").entries()) == {Entry("er/a b+c.png", 0), Entry("ひ.png", 1)}
    assert location.read("b.png") == b"123"
    assert location.below("deep").read("ひ.png") == b"3"


def test_an_object_that_is_not_there_is_told_from_other_trouble(location: Location) -> None:
    with pytest.raises(ObjectGone, match="is not there any more"):
        location.read("nothing.png")


def test_a_place_has_one_address_however_it_is_written(environ: Store, tmp_path: Path) -> None:
    for address in (f"{S3}/a/b", f"{S3}/a/b/"):
        assert open_location(address).address == f"{S3}/a/b/"
    assert open_location(f"{S3}").address == open_location(f"{S3}/").address == f"{S3}/"
    assert open_location(f"{tmp_path}/x/../y/").address == f"{tmp_path}/y/"
    assert open_location(f"{S3}/a").below("b").address == f"{S3}/a/b/"


@pytest.mark.parametrize("address", ["gs://scans/x", "s3://", "s3://no_such/x", "s3:///x"])
def test_another_address_is_refused(address: str) -> None:
    with pytest.raises(LocationError, match="neither a folder nor like s3://bucket/prefix"):
        open_location(address)


def test_a_bucket_that_is_not_there_is_named(environ: Store) -> None:
    said = trouble(open_location("s3://absent/x"))
    assert "no bucket absent" in said
    assert "AWS_ENDPOINT_URL" in said


def test_strangers_are_told_which_keys_to_check(
    environ: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    said = trouble(open_location(f"{S3}/x"))
    assert "check AWS_ACCESS_KEY_ID" in said
    assert "not-the-secret" not in said


def test_without_keys_it_says_which_to_set(environ: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "set AWS_ACCESS_KEY_ID" in trouble(open_location(f"{S3}/x"))


def test_a_store_that_does_not_answer_is_no_secret(
    environ: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locations, "_ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "is the endpoint right (AWS_ENDPOINT_URL)" in trouble(open_location(f"{S3}/x"))


@pytest.mark.parametrize("endpoint", ["ftp://store", "http://store/path", "http://me:secret@store"])
def test_an_endpoint_that_is_none_is_refused(
    endpoint: str, environ: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(LocationError, match="must be like https://host:port"):
        open_location(f"{S3}/x")


def test_s3_endpoint_is_taken_too(environ: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("S3_ENDPOINT", environ.endpoint)
    assert list(open_location(f"{S3}/nothing-here").entries()) == []


def test_what_breaks_off_is_read_again(environ: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def cut(request: BaseHTTPRequestHandler) -> None:
        if request.command == "GET":
            asked.append(request.path)
        reply(request, 200, b"whole" if len(asked) > 2 else b"wh", length=5)

    with answering(cut) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert open_location(f"{S3}/x").read("a.png") == b"whole"
    assert len(asked) == 3


def test_a_link_to_a_folder_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").touch()
    (tmp_path / "a" / "up").symlink_to("..")
    assert [entry.name for entry in open_location(tmp_path).entries()] == ["a/x.png"]


def test_a_folder_that_is_a_file_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "scan.png").write_bytes(b"")
    assert "Not a directory" in trouble(open_location(tmp_path / "scan.png"))


def test_a_file_name_that_is_no_text_is_said_to_be(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).touch()
    assert "rename it" in trouble(open_location(tmp_path))


def test_a_file_is_never_seen_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path, __: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(LocationError, match="No space left"):
        open_location(tmp_path).write("part.parquet", b"1")
    assert not (tmp_path / "part.parquet").exists()


def test_one_folder_of_a_location_is_in_memory_at_a_time(tmp_path: Path) -> None:
    for folder in range(20):
        (tmp_path / str(folder)).mkdir()
        for number in range(200):
            (tmp_path / str(folder) / f"{number}.png").touch()
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        assert sum(1 for _ in open_location(str(tmp_path)).entries()) == 4_000
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
    assert pa.total_allocated_bytes() == before
