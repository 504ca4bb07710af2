"""Storage locations: folders and buckets behave alike, and their errors have advice."""

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
from tests.support.object_store import BUCKET, Store, s3_store
from tests.support.stores import answering, reply

S3 = f"s3://{BUCKET}"


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with s3_store() as store:
        yield store


@pytest.fixture
def environ(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    for name, value in store.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    return store


@pytest.fixture(params=["folder", "locations"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """Returns an empty location of each kind."""
    if request.param == "folder":
        return open_location(str(tmp_path / "scans"))
    request.getfixturevalue("environ")
    return open_location(f"{S3}/{request.node.name}")


def listing_error(location: Location) -> str:
    """Returns the error of a listing, which must be one line."""
    with pytest.raises(LocationError) as raised:
        list(location.entries())
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_written_objects_are_listed_and_read(location: Location) -> None:
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


def test_a_missing_object_has_an_exception_of_its_own(location: Location) -> None:
    with pytest.raises(ObjectGone, match="does not exist any more"):
        location.read("nothing.png")


def test_a_failed_write_leaves_no_object(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    location = open_location(str(tmp_path))
    with pytest.raises(LocationError):
        location.write("taken", b"123")
    assert not list(location.entries())


def test_a_location_has_one_address_for_all_spellings(environ: Store, tmp_path: Path) -> None:
    for address in (f"{S3}/a/b", f"{S3}/a/b/"):
        assert open_location(address).address == f"{S3}/a/b/"
    assert open_location(f"{S3}").address == open_location(f"{S3}/").address == f"{S3}/"
    assert open_location(f"{tmp_path}/x/../y/").address == f"{tmp_path}/y/"
    assert open_location(f"{S3}/a").below("b").address == f"{S3}/a/b/"


@pytest.mark.parametrize("address", ["gs://scans/x", "s3://", "s3://no_such/x", "s3:///x"])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(LocationError, match="neither a folder nor like s3://bucket/prefix"):
        open_location(address)


def test_the_error_for_a_missing_bucket_names_it(environ: Store) -> None:
    error = listing_error(open_location("s3://absent/x"))
    assert "no bucket absent" in error
    assert "AWS_ENDPOINT_URL" in error


def test_the_error_for_wrong_keys_names_their_variables(
    environ: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    error = listing_error(open_location(f"{S3}/x"))
    assert "check AWS_ACCESS_KEY_ID" in error
    assert "not-the-secret" not in error


def test_the_error_for_missing_keys_names_their_variables(
    environ: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "set AWS_ACCESS_KEY_ID" in listing_error(open_location(f"{S3}/x"))


def test_the_error_for_a_store_that_does_not_answer_names_the_endpoint(
    environ: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locations, "_ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "check the endpoint (AWS_ENDPOINT_URL)" in listing_error(open_location(f"{S3}/x"))


@pytest.mark.parametrize("endpoint", ["ftp://store", "http://store/path", "http://me:secret@store"])
def test_a_wrong_endpoint_is_refused(
    endpoint: str, environ: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(LocationError, match="must be like https://host:port"):
        open_location(f"{S3}/x")


def test_the_variable_s3_endpoint_works_too(
    environ: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("S3_ENDPOINT", environ.endpoint)
    assert list(open_location(f"{S3}/nothing-here").entries()) == []


def test_a_truncated_answer_is_read_again(environ: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[str] = []

    def cut(request: BaseHTTPRequestHandler) -> None:
        if request.command == "GET":
            requests.append(request.path)
        reply(request, 200, b"whole" if len(requests) > 2 else b"wh", length=5)

    with answering(cut) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert open_location(f"{S3}/x").read("a.png") == b"whole"
    assert len(requests) == 3


def test_a_link_to_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").touch()
    (tmp_path / "a" / "up").symlink_to("..")
    assert [entry.name for entry in open_location(tmp_path).entries()] == ["a/x.png"]


def test_a_location_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "scan.png").write_bytes(b"")
    assert "Not a directory" in listing_error(open_location(tmp_path / "scan.png"))


def test_a_file_name_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).touch()
    assert "rename it" in listing_error(open_location(tmp_path))


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path, __: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(LocationError, match="No space left"):
        open_location(tmp_path).write("part.parquet", b"1")
    assert not (tmp_path / "part.parquet").exists()


def test_only_one_folder_of_a_location_is_in_memory_at_a_time(tmp_path: Path) -> None:
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
