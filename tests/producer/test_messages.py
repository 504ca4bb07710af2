"""Messages from a source, and lines for Kafka's console producer."""

from __future__ import annotations

import itertools
import json
import shlex

import numpy as np
import pytest

from producer.console_lines import check_text, command, line
from producer.formats import FORMATS, FormatError
from producer.messages import Message, messages, total
from producer.sources import Source

IMAGES = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8)
KNOWN = Source("five", IMAGES, ("o", "ki", "su", "tsu", "na"))
UNKNOWN = Source("five", IMAGES)
RAW = FORMATS["raw"]


def truths(made: list[Message]) -> list[bytes]:
    return [dict(message.headers)["truth"] for message in made]


def test_each_image_is_a_message_with_its_truth_by_default() -> None:
    made = list(messages(KNOWN, RAW))
    assert [m.value for m in made] == [image.tobytes() for image in IMAGES]
    assert truths(made) == [b"o", b"ki", b"su", b"tsu", b"na"]
    assert {m.key for m in made} == {None}


def test_a_batch_is_one_message_and_the_last_one_has_the_rest() -> None:
    made = list(messages(KNOWN, RAW, batch=2))
    assert [m.images for m in made] == [2, 2, 1]
    assert truths(made) == [b"o ki", b"su tsu", b"na"]


def test_an_unknown_truth_is_no_header() -> None:
    assert all("truth" not in dict(m.headers) for m in messages(UNKNOWN, RAW))


def test_a_loop_starts_again_and_the_count_ends_it() -> None:
    made = list(messages(KNOWN, RAW, count=7, loop=True))
    assert truths(made)[4:] == [b"na", b"o", b"ki"]
    endless = messages(KNOWN, RAW, loop=True)
    assert len(list(itertools.islice(endless, 100))) == 100


@pytest.mark.parametrize(
    ("batch", "count", "loop", "expected"),
    [(1, None, False, 5), (2, None, False, 3), (1, 3, False, 3), (1, 9, False, 5), (1, 9, True, 9)],
)
def test_the_total_is_the_number_of_messages(
    batch: int, count: int | None, loop: bool, expected: int
) -> None:
    assert total(KNOWN, batch, count, loop) == expected
    assert len(list(messages(KNOWN, RAW, batch, count=count, loop=loop))) == expected


def test_a_key_may_have_the_number_and_the_truth_and_other_braces() -> None:
    made = messages(KNOWN, RAW, key='{"id":{n},"is":"{truth}"}', count=2)
    assert [m.key for m in made] == [b'{"id":0,"is":"o"}', b'{"id":1,"is":"ki"}']


def test_an_endless_loop_has_no_total() -> None:
    assert total(KNOWN, 1, None, loop=True) is None


@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if f.is_text])
def test_a_line_has_headers_and_key_and_value_between_tabs(name: str) -> None:
    (message,) = messages(KNOWN, FORMATS[name], key="k{n}", count=1)
    headers, key, value = line(message, with_key=True, with_headers=True).decode().split("\t")
    assert headers == "content-type:application/json,truth:o"
    assert key == "k0"
    assert value.endswith("\n")
    json.loads(value)


def test_a_line_without_key_and_headers_is_the_value() -> None:
    (message,) = messages(KNOWN, FORMATS["tensor"], count=1)
    assert line(message, with_key=False, with_headers=False) == message.value + b"\n"


def test_a_key_that_the_console_producer_would_cut_is_refused() -> None:
    (message,) = messages(KNOWN, FORMATS["tensor"], key="a\tb", count=1)
    with pytest.raises(FormatError, match="tab"):
        line(message, with_key=True, with_headers=False)


@pytest.mark.parametrize("name", ["protobuf", "png", "jpeg", "raw"])
def test_binary_formats_are_refused_for_the_console_with_advice(name: str) -> None:
    with pytest.raises(FormatError, match="--format bindata"):
        check_text(FORMATS[name])


def test_the_printed_command_fits_the_lines() -> None:
    bare = shlex.split(command("in", with_key=False, with_headers=False, value_bytes=10))
    assert bare == ["python", "-m", "kafka.cluster", "console-producer", "--topic", "in"]
    full = command("in", with_key=True, with_headers=True, value_bytes=2**21)
    assert "--reader-property parse.headers=true --reader-property parse.key=true" in full
    assert f"--command-property max.request.size={2**22}" in full


def test_bad_messages_are_spread_evenly_and_have_no_truth() -> None:
    made = list(messages(KNOWN, RAW, key="{n}", count=20, loop=True, bad=0.25))
    bad = [number for number, each in enumerate(made) if each.images == 0]
    assert bad == [3, 7, 11, 15, 19]
    assert all("truth" not in dict(made[number].headers) for number in bad)
    assert [m.key for m in made] == [b"%d" % n for n in range(20)]
    assert not any(m.images == 0 for m in messages(KNOWN, RAW))
