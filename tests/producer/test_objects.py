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


class Shelf(Location):
    """A location in memory; what holds no bytes is trouble."""

    def __init__(self, content: dict[str, bytes | Exception]) -> None:
        super().__init__("shelf/", "", LocalFileSystem())
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

    def taken(self) -> None:
        """One message is out of the producer's hands."""
        with self._lock:
            self._open -= 1


def made(
    shelf: Location,
    run: str | None = "spring",
    done: frozenset[str] = frozenset(),
    count: int | None = None,
) -> tuple[Objects, list[Message], list[str]]:
    told: list[str] = []
    its = Objects(shelf, FORMATS["png"], run, done, told.append)
    return its, list(its.messages(count)), told


def test_each_object_is_one_message_in_their_order(tmp_path: Path) -> None:
    for number, name in enumerate(("b/1.png", "a.png", "b/0.png")):
        open_location(tmp_path).write(name, (SAMPLES / f"sample_{number}.jpg").read_bytes())
    its, messages, told = made(open_location(tmp_path))
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
    assert (told, its.unreadable, its.left_out, its.trouble) == ([], 0, 0, None)


def test_what_is_no_picture_is_told_and_accounted_for() -> None:
    gone = ObjectGone("gone.png is not there any more")
    shelf = Shelf({"text": b"hello", "a.png": PNG, "gone.png": gone, "cut.png": PNG[:48]})
    its, messages, told = made(shelf)
    assert [each.key for each in messages] == [b"text", b"a.png", b"gone.png", b"cut.png"]
    assert [each.value for each in messages] == [b"", PNG, b"", b""]
    assert b"none of PNG" in dict(messages[0].headers)["object-unreadable"]
    assert b"not there any more" in dict(messages[2].headers)["object-unreadable"]
    assert its.unreadable == len(told) == 3
    assert told[0].startswith("text: ")


def test_without_a_run_nobody_would_ask_for_what_is_no_picture() -> None:
    its, messages, told = made(Shelf({"text": b"hello", "a.png": PNG}), run=None)
    assert [each.headers for each in messages] == [
        [("content-type", b"image/png"), ("object", b"a.png")]
    ]
    assert its.unreadable == len(told) == 1


def test_whatever_a_decoder_raises_is_told_of_its_object(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: bytes) -> None:
        raise ZeroDivisionError("hostile")

    monkeypatch.setattr(objects, "to_kmnist", fail)
    its, _, told = made(Shelf({"a.png": PNG}))
    assert its.unreadable == 1
    assert "hostile" in told[0]


def test_a_huge_object_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_LARGEST_BYTES", len(PNG) - 1)
    monkeypatch.setattr(Shelf, "read", None)
    _, (message,), _ = made(Shelf({"a.png": PNG}))
    assert b"bytes, at most" in dict(message.headers)["object-unreadable"]


def test_what_has_a_row_is_left_out_and_the_count_is_of_the_others() -> None:
    shelf = Shelf({f"{number}.png": PNG for number in range(5)})
    its, messages, _ = made(shelf, done=frozenset({"0.png", "2.png"}), count=2)
    assert [each.key for each in messages] == [b"1.png", b"3.png"]
    assert its.left_out == 2


def test_few_objects_are_in_memory_at_once() -> None:
    shelf = Shelf({f"{number}.png": PNG for number in range(300)})
    its = Objects(shelf, FORMATS["png"], "spring", frozenset(), lambda _: None)
    for _ in its.messages():
        shelf.taken()
    assert shelf.most_open <= objects._AHEAD + 1


def test_trouble_half_way_ends_the_messages_and_is_kept() -> None:
    shelf = Shelf({"a.png": PNG, "b.png": LocationError("the store is away"), "c.png": PNG})
    its, messages, _ = made(shelf)
    assert [each.key for each in messages] == [b"a.png"]
    assert str(its.trouble) == "the store is away"


def test_an_empty_place_is_an_error_at_once() -> None:
    with pytest.raises(LocationError, match="no object in shelf/"):
        made(Shelf({}))


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--results", "r"], "--results goes with --run"),
        (["--run", "x"], "name one folder or one s3://bucket/prefix"),
        (["a", "b", "--run", "x"], "name one folder or one s3://bucket/prefix"),
        (["s3://scans/a", "s3://scans/b"], "name one folder or one s3://bucket/prefix"),
        (["a", "--run", "x", "--loop"], "--loop does not go with --run"),
        (["a", "--run", "x", "--batch", "2"], "--batch does not go with --run"),
        (["s3://scans/a", "--stdout"], "--stdout does not go with --run or s3://"),
        (["a", "--run", "x", "--print-command"], "--print-command does not go with"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    arguments: list[str], advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert advice in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "a/b", "-x", "a b", "x" * 101])
def test_a_run_has_a_name_that_a_folder_and_a_group_can_have(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["a", f"--run={name}"])
    assert "is no run's name" in capsys.readouterr().err
