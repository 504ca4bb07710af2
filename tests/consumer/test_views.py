"""Answers are shown as lines, as pictures and in a summary."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from consumer.answers import Answer, Label
from consumer.half_blocks import half_blocks
from consumer.lines import COLUMNS, csv_lines, json_lines, text_lines
from consumer.pictures import read_pixels
from consumer.score import Score
from consumer.summary import show_score, summary
from consumer.view import View
from producer.formats import FORMATS, encode
from seldon_kafka.messages import InputPosition, Record

TWO = Answer(
    ("in", 3, 42),
    "k",
    "w.0",
    1,
    ("ya", "ki"),
    (Label("ya", 0.8, outlier=True), Label("o", 0.9, abstain=True)),
)
DEAD = Answer(("in", 3, 43), None, "w.0", 1, reason="bad_shape", message="expected 784, got 3")
SQUARE = np.zeros((28, 28), np.uint8)
SQUARE[:14, :14] = 255


def terminal(width: int = 110, height: int = 40) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system=None,
        legacy_windows=False,
    )


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class ImmediatePictures:
    """A source whose pictures are fetched at once."""

    def __init__(self, images: NDArray[np.uint8] | None) -> None:
        self.images = images

    def request(self, position: InputPosition) -> None:
        pass

    def result(self, position: InputPosition) -> tuple[bool, NDArray[np.uint8] | None]:
        return True, self.images


def test_json_has_one_object_for_each_message() -> None:
    out = io.StringIO()
    write = json_lines(out)
    write(TWO, 12.0)
    write(DEAD, None)
    two, dead = map(json.loads, out.getvalue().splitlines())
    assert two["input"] == {"topic": "in", "partition": 3, "offset": 42}
    assert [label["hiragana"] for label in two["labels"]] == ["や", "お"]
    assert two["latency_ms"] == 12.0
    assert two["dead"] is None
    assert dead["dead"] == {"reason": "bad_shape", "message": "expected 784, got 3"}


def test_csv_has_one_line_for_each_image_or_dead_letter() -> None:
    out = io.StringIO()
    write = csv_lines(out)
    write(TWO, 12.0)
    write(DEAD, None)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert tuple(rows[0]) == COLUMNS
    assert [(r["row"], r["label"], r["truth"], r["dead_reason"]) for r in rows] == [
        ("0", "ya", "ya", ""),
        ("1", "o", "ki", ""),
        ("", "", "", "bad_shape"),
    ]


def test_a_pipe_gets_one_readable_line_for_each_message() -> None:
    out = io.StringIO()
    write = text_lines(out)
    write(TWO, 12.4)
    write(DEAD, None)
    assert out.getvalue().splitlines() == [
        "やya 0.800 おo 0.900  w.0  12 ms",
        "dead: bad_shape: expected 784, got 3  w.0",
    ]


@pytest.mark.parametrize("side", [28, 14])
def test_a_picture_shows_its_shape_without_colours(side: int) -> None:
    lines = half_blocks(SQUARE, side).plain.split("\n")
    assert len(lines) == side // 2
    assert lines[0] == "█" * (side // 2) + " " * (side // 2)
    assert not lines[-1].strip()


def test_an_edge_between_two_pixels_of_a_cell_is_half_a_block() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[0] = 255
    image[3] = 255
    lines = half_blocks(image, 28).plain.split("\n")
    assert lines[:2] == ["▀" * 28, "▄" * 28]


@pytest.mark.parametrize("name", FORMATS)
def test_the_pixels_of_an_input_are_read_in_every_format(name: str) -> None:
    wire_format = FORMATS[name]
    value = encode(wire_format, SQUARE[None])
    images = read_pixels(Record("t", 0, 0, 0, None, value, wire_format.headers()), 2**20)
    assert images is not None
    assert np.abs(images[0].astype(int) - SQUARE).max() <= (40 if name == "jpeg" else 0)


def test_floats_up_to_one_are_scaled_to_255() -> None:
    value = json.dumps({"data": {"ndarray": (SQUARE / 255).tolist()}}).encode()
    images = read_pixels(Record("t", 0, 0, 0, None, value, ()), 2**20)
    assert images is not None
    assert np.array_equal(images[0], SQUARE)


@pytest.mark.parametrize(
    "value",
    [None, b"", b"\xff", b"{}", b'{"strData":"x"}', b'{"data":{"ndarray":[[1,2]]}}', b"\x89PNG"],
)
def test_an_input_without_pixels_has_no_picture(value: bytes | None) -> None:
    assert read_pixels(Record("t", 0, 0, 0, None, value, ()), 2**20) is None


@pytest.mark.parametrize(("width", "height"), [(110, 40), (80, 24), (20, 5), (240, 70)])
def test_the_view_draws_answers_in_terminals_of_any_size(width: int, height: int) -> None:
    console = terminal(width, height)
    score = Score()
    with View(console, score, ImmediatePictures(SQUARE[None]), "reading") as view:
        view.show(TWO, 12.0)
        view.show(DEAD, None)
        score.add(TWO, 5.0)
    drawn = text(console)
    assert "や ya" in drawn
    assert "█" in drawn
    if width >= 80:
        assert "dead: bad_shape" in drawn
        assert "1 answered, 0 dead" in drawn


def test_a_wrong_label_is_shown_with_the_truth() -> None:
    console = terminal()
    with View(console, Score(), ImmediatePictures(None), "reading") as view:
        view.show(TWO, 12.0)
    assert "truth ki" in text(console)
    assert "abstains" in text(console)
    assert "outlier" in text(console)


def test_the_view_keeps_at_most_one_waiting_answer_for_each_card() -> None:
    console = terminal()
    with View(console, Score(), ImmediatePictures(SQUARE[None]), "reading") as view:
        for _ in range(10_000):
            view.show(TWO, 1.0)
        assert len(view._waiting) <= len(view._cards)


def test_the_summary_counts_inputs_and_answers() -> None:
    score = Score(started_ms=0)
    for number in range(100):
        position = ("in", 0, number)
        answer = Answer(position, None, "w", 1000 + number, ("o",), (Label("o", 0.9),))
        score.add(answer, 1010 + 10 * number)
    score.add(DEAD, 2000)
    line = summary(score, 101)
    assert line.startswith("101 messages in, 100 answered, 1 dead, accuracy 100.00 %, ")
    assert "msg/s" in line
    assert "p50" in line
    assert "p99" in line


def test_the_summary_of_nothing_is_short() -> None:
    assert summary(Score(), None) == "0 answered, 0 dead"


def test_the_score_shows_confusion_duplicates_and_gaps() -> None:
    score = Score()
    score.add(TWO, 1.0)
    score.add(TWO, 1.0)
    score.add(DEAD, 1.0)
    console = terminal()
    show_score(score, console)
    shown = " ".join(text(console).split())
    assert "1 duplicates" in shown
    assert "0 gaps" in shown
    assert "1 dead: bad_shape" in shown
    assert "きki" in shown
