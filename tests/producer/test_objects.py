"""The objects of a location as messages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pyarrow.fs import LocalFileSystem

from producer import objects
from producer.__main__ import main
from producer.bundled_samples import SAMPLES, load_samples
from producer.formats import FORMATS, encode
from producer.locations import Entry, Location, LocationError, ObjectGone, open_location
from producer.messages import Message
from producer.objects import Objects

PNG = encode(FORMATS["png"], np.diag(np.full(28, 255, np.uint8))[None])


class MemoryLocation(Location):
    """A location in memory; an exception in place of content is raised by `read`."""

    def __init__(self, content: dict[str, bytes | Exception]) -> None:
        super().__init__("memory/", "", LocalFileSystem())
        self.content = content
        self.most_open = 0
        self._open = 0
        self._lock = threading.Lock()

    def entries(self) -> Iterator[Entry]:
        for name, each in self.content.items():
            with self._lock:
                self._open += 1
                self.most_open = max(self.most_open, self._open)
            yield Entry(name, len(each) if isinstance(each, bytes) else 1)

    def read(self, name: str) -> bytes:
        found = self.content[name]
        if isinstance(found, Exception):
            raise found
        return found

    def release(self) -> None:
        """Notes that one message is sent."""
        with self._lock:
            self._open -= 1


def made(
    location: Location,
    run: str | None = "spring",
    done: frozenset[str] = frozenset(),
    count: int | None = None,
) -> tuple[Objects, list[Message], list[str]]:
    reported: list[str] = []
    reader = Objects(location, FORMATS["png"], run, done, reported.append)
    return reader, list(reader.messages(count)), reported


def test_each_object_is_one_message_in_the_order_of_the_listing(tmp_path: Path) -> None:
    for number, name in enumerate(("b/1.png", "a.png", "b/0.png")):
        open_location(tmp_path).write(name, (SAMPLES / f"sample_{number}.jpg").read_bytes())
    reader, messages, reported = made(open_location(tmp_path))
    images = load_samples().images
    assert [each.key for each in messages] == [b"a.png", b"b/0.png", b"b/1.png"]
    assert [each.value for each in messages] == [
        encode(FORMATS["png"], images[number : number + 1]) for number in (1, 2, 0)
    ]
    assert messages[0].headers == [
        ("content-type", b"image/png"),
        ("object", b"a.png"),
        ("run", b"spring"),
    ]
    assert (reported, reader.unreadable, reader.skipped, reader.error) == ([], 0, 0, None)


def test_an_object_that_is_no_picture_is_reported_and_has_a_message() -> None:
    gone = ObjectGone("gone.png does not exist any more")
    location = MemoryLocation(
        {"text": b"hello", "a.png": PNG, "gone.png": gone, "cut.png": PNG[:48]}
    )
    reader, messages, reported = made(location)
    assert [each.key for each in messages] == [b"text", b"a.png", b"gone.png", b"cut.png"]
    assert [each.value for each in messages] == [b"", PNG, b"", b""]
    assert b"none of PNG" in dict(messages[0].headers)["object-unreadable"]
    assert b"not exist any more" in dict(messages[2].headers)["object-unreadable"]
    assert reader.unreadable == len(reported) == 3
    assert reported[0].startswith("text: ")


def test_without_a_run_an_object_that_is_no_picture_has_no_message() -> None:
    reader, messages, reported = made(MemoryLocation({"text": b"hello", "a.png": PNG}), run=None)
    assert [each.headers for each in messages] == [
        [("content-type", b"image/png"), ("object", b"a.png")]
    ]
    assert reader.unreadable == len(reported) == 1


def test_any_exception_of_a_decoder_is_reported_for_its_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: bytes) -> None:
        raise ZeroDivisionError("hostile")

    monkeypatch.setattr(objects, "to_kmnist", fail)
    reader, _, reported = made(MemoryLocation({"a.png": PNG}))
    assert reader.unreadable == 1
    assert "hostile" in reported[0]


def test_a_huge_object_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_MAX_BYTES", len(PNG) - 1)
    monkeypatch.setattr(MemoryLocation, "read", None)
    _, (message,), _ = made(MemoryLocation({"a.png": PNG}))
    assert b"bytes, at most" in dict(message.headers)["object-unreadable"]


def test_objects_with_a_row_are_skipped_and_do_not_count() -> None:
    location = MemoryLocation({f"{number}.png": PNG for number in range(5)})
    reader, messages, _ = made(location, done=frozenset({"0.png", "2.png"}), count=2)
    assert [each.key for each in messages] == [b"1.png", b"3.png"]
    assert reader.skipped == 2


def test_few_objects_are_in_memory_at_once() -> None:
    location = MemoryLocation({f"{number}.png": PNG for number in range(300)})
    reader = Objects(location, FORMATS["png"], "spring", frozenset(), lambda _: None)
    for _ in reader.messages():
        location.release()
    assert location.most_open <= objects._AHEAD + 1


def test_an_error_of_the_location_ends_the_messages_and_is_kept() -> None:
    location = MemoryLocation({"a.png": PNG, "b.png": LocationError("no answer"), "c.png": PNG})
    reader, messages, _ = made(location)
    assert [each.key for each in messages] == [b"a.png"]
    assert str(reader.error) == "no answer"


def test_an_empty_location_is_an_error_before_the_first_message() -> None:
    with pytest.raises(LocationError, match="no object in memory/"):
        made(MemoryLocation({}))


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--results", "r"], "--results needs --run"),
        (["--run", "x"], "give one folder or one s3://bucket/prefix"),
        (["a", "b", "--run", "x"], "give one folder or one s3://bucket/prefix"),
        (["s3://scans/a", "s3://scans/b"], "give one folder or one s3://bucket/prefix"),
        (["a", "--run", "x", "--loop"], "--loop cannot be combined with --run"),
        (["a", "--run", "x", "--batch", "2"], "--batch cannot be combined with --run"),
        (["s3://scans/a", "--stdout"], "--stdout cannot be combined with --run or s3://"),
        (["a", "--run", "x", "--print-command"], "--print-command cannot be combined with"),
    ],
)
def test_options_that_cannot_be_combined_are_a_usage_error(
    arguments: list[str], advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert advice in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "a/b", "-x", "a b", "x" * 101])
def test_a_name_that_no_folder_or_group_can_have_is_refused(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["a", f"--run={name}"])
    assert "is no valid run name" in capsys.readouterr().err
