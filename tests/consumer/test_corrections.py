"""The latest feedback on each row counts, with the image that it refers to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer import corrections
from consumer.corrections import (
    BAD_IMAGE,
    DELETED,
    MOST,
    NO_FEEDBACK,
    NO_IMAGE,
    OTHER_COUNT,
    OTHER_TOPIC,
    UNKNOWN_LABEL,
    Corrections,
    TooManyCorrections,
    class_of,
)
from consumer.labels import HIRAGANA
from model import feedback as model_feedback
from model.labels import ROMAJI
from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from seldon_kafka.codec.feedback import Feedback, compose
from seldon_kafka.messages import Record

IMAGES = load_samples().images
LIMIT = 2**20


class Topics:
    """A feedback topic and an input topic."""

    def __init__(self) -> None:
        self.corrections = Corrections("in", LIMIT)
        self.inputs: dict[tuple[int, int], bytes] = {}
        self._given = 0

    def give(self, puid: str, *truth: str, partition: int = 0, **more: Any) -> None:
        self._given += 1
        feedback = Feedback(puid, truth, **{"given_ms": self._given, **more})
        key, value, headers = compose(feedback)
        self.add(value, partition, feedback.given_ms, key, headers)

    def add(
        self, value: bytes, partition: int = 0, at_ms: int = -1, key: bytes = b"", headers: Any = ()
    ) -> None:
        self.corrections.add(Record("fb", partition, self._given, at_ms, key, value, headers))

    def training_set(self) -> tuple[dict[int, Any], dict[str, int]]:
        """Returns the images by label, and the number of left out corrections by reason."""
        for partition, offset in self.corrections.missing_inputs():
            value = self.inputs.get((partition, offset))
            if value is not None:
                self.corrections.add_input(Record("in", partition, offset, -1, None, value, ()))
        found = self.corrections.training_set()
        assert found.images.dtype == found.labels.dtype == np.uint8
        assert found.images.shape == (len(found.labels), 28, 28)
        by_label = dict(zip(found.labels.tolist(), found.images, strict=True))
        assert len(by_label) == len(found.labels), "each image in a test needs a label of its own"
        return by_label, dict(found.left_out)


@pytest.fixture
def topics() -> Topics:
    return Topics()


def request(*numbers: int) -> dict[str, Any]:
    return {"data": {"ndarray": IMAGES[list(numbers)].tolist()}}


def test_a_label_is_romaji_hiragana_or_the_number_of_the_class() -> None:
    assert list(HIRAGANA) == list(ROMAJI)
    for number, (romaji, hiragana) in enumerate(HIRAGANA.items()):
        named = [class_of(text) for text in (romaji, f" {romaji.upper()} ", hiragana, str(number))]
        assert named == [number] * 4
    for other in ("", "10", "-1", "1.0", "ka", "か", "o ki", "<b>"):
        assert class_of(other) is None


def test_the_latest_feedback_on_each_row_counts(topics: Topics) -> None:
    topics.give("a", "o", "ki", request=request(0, 1))
    topics.give("a", "", "su", request=request(0, 1))
    topics.give("a", "tsu", "", request=request(0, 1))
    images, left_out = topics.training_set()
    assert sorted(images) == [2, 3]
    assert np.array_equal(images[3], IMAGES[0])
    assert np.array_equal(images[2], IMAGES[1])
    assert left_out == {}


def test_the_time_decides_between_partitions(topics: Topics) -> None:
    topics.give("a", "ki", request=request(0), partition=1, given_ms=200)
    topics.give("a", "o", request=request(0), partition=0, given_ms=100)
    topics.give("b", "su", request=request(1), partition=0, given_ms=100)
    topics.give("b", "na", request=request(1), partition=1, given_ms=200)
    assert sorted(topics.training_set()[0]) == [1, 4]


def test_the_order_decides_within_a_partition(topics: Topics) -> None:
    topics.give("a", "o", request=request(0), given_ms=10**12)
    topics.give("a", "ki", request=request(0), given_ms=5)
    assert list(topics.training_set()[0]) == [1]


def test_later_feedback_without_an_image_keeps_the_earlier_image(topics: Topics) -> None:
    topics.give("a", "o", request=request(7))
    topics.give("a", "ki")
    topics.give("b", "su", position=("in", 0, 3))
    topics.give("b", "na")
    topics.inputs[0, 3] = encode(FORMATS["png"], IMAGES[8:9])
    images, _ = topics.training_set()
    assert np.array_equal(images[1], IMAGES[7])
    assert np.array_equal(images[4], IMAGES[8])


def test_an_image_comes_from_the_request_else_from_the_input_position(topics: Topics) -> None:
    topics.inputs[2, 9] = encode(FORMATS["ndarray"], IMAGES[3:6])
    topics.give("a", "o", request=request(0), position=("in", 2, 9))
    topics.give("b", "", "ki", "", position=("in", 2, 9))
    topics.give("c", "su", "tsu", "na", request={"strData": "no picture"}, position=("in", 2, 9))
    images, left_out = topics.training_set()
    assert left_out == {}
    for label, number in {0: 0, 1: 4, 2: 3, 3: 4, 4: 5}.items():
        assert np.array_equal(images[label], IMAGES[number])


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, NO_IMAGE),
        ({"request": {"strData": "no picture"}}, BAD_IMAGE),
        ({"request": {"data": {"ndarray": [[1, 2]]}}}, BAD_IMAGE),
        ({"request": request(0, 1)}, OTHER_COUNT),
        ({"position": ("in", 0, 0)}, DELETED),
        ({"position": ("in", 0, 1)}, BAD_IMAGE),
        ({"position": ("in", 0, 2)}, OTHER_COUNT),
        ({"position": ("secrets", 0, 2)}, OTHER_TOPIC),
    ],
)
def test_feedback_without_an_image_is_left_out_with_a_reason(
    topics: Topics, more: dict[str, Any], reason: str
) -> None:
    topics.inputs.update({(0, 1): b"no JSON", (0, 2): encode(FORMATS["tensor"], IMAGES[:2])})
    topics.give("a", "ki", **more)
    assert topics.training_set() == ({}, {reason: 1})


def test_an_unknown_label_replaces_earlier_feedback(topics: Topics) -> None:
    topics.give("a", "ki", request=request(0))
    topics.give("a", "?", request=request(0))
    assert topics.training_set() == ({}, {UNKNOWN_LABEL: 1})


def test_messages_that_are_no_feedback_are_counted(topics: Topics) -> None:
    for value in (b"", b"{}", b"[]", b"\xff", b'{"truth": 1}', b"x" * (LIMIT + 1)):
        topics.add(value)
    assert topics.training_set() == ({}, {NO_FEEDBACK: 6})


@pytest.mark.parametrize(
    "ndarray",
    [
        b"[" * 900 + b"]" * 900,
        b"[[" + b"1e308," * 783 + b"1e308]]",
        b'[["<script>alert(1)</script>"]]',
        b"[" + b"[]," * 60_000 + b"1]",
        b"[[" + b"9" * 400_000 + b"]]",
    ],
)
def test_hostile_requests_contain_no_image(topics: Topics, ndarray: bytes) -> None:
    response = b'"response":{"meta":{"puid":"p"}},"truth":{"strData":"ki"}'
    topics.add(b'{"request":{"data":{"ndarray":' + ndarray + b"}}," + response + b"}")
    images, left_out = topics.training_set()
    assert sum(left_out.values()) + len(images) == 1


def test_the_number_of_corrections_has_the_limit_of_the_training(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model_feedback.MAX_IMAGES == MOST
    monkeypatch.setattr(corrections, "MOST", 3)
    topics.give("a", "o", "o", "o", request=request(0, 1, 2))
    topics.give("a", "ki", "ki", "ki", request=request(0, 1, 2))
    with pytest.raises(TooManyCorrections, match="more than 3 corrections"):
        topics.give("b", "o", request=request(0))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(ROMAJI), st.booleans())))
def test_the_last_of_any_number_of_corrections_is_kept(
    given: list[tuple[str, str, bool]],
) -> None:
    gathered = Corrections("in", LIMIT)
    for number, (puid, label, own) in enumerate(given):
        feedback = Feedback(puid, (label,), request=request(0) if own else None, given_ms=number)
        key, value, headers = compose(feedback)
        gathered.add(Record("fb", 0, number, number, key, value, headers))
    last = {puid: label for puid, label, _ in given}
    with_picture = {puid for puid, _, own in given if own}
    found = gathered.training_set()
    assert [ROMAJI[each] for each in found.labels] == [last[p] for p in sorted(with_picture)]
    assert found.left_out.total() == len(last) - len(with_picture)
