"""Feedback as a message, and messages that are not feedback."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_kafka.codec.feedback import (
    MOST_BYTES,
    BadFeedback,
    Feedback,
    compose,
    feedback_of,
    read,
)
from seldon_kafka.config.settings import load_settings
from seldon_kafka.messages import Headers, Record, header
from tests.support.hostile import Hostile, hostile_messages
from tests.support.records import record

texts = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts | st.floats(allow_nan=False,
    allow_infinity=False)
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)
)
messages = st.none() | st.dictionaries(
    texts.filter(lambda name: name != "meta"), values, min_size=1, max_size=4
)
positions = st.tuples(texts.filter(bool), st.integers(0, 2**31), st.integers(0, 2**63 - 1))
feedbacks = st.builds(
    Feedback,
    puid=texts.filter(bool),
    truth=st.lists(texts, max_size=5).map(tuple),
    reward=st.floats(allow_nan=False, allow_infinity=False),
    request=messages,
    response=messages,
    position=st.none() | positions,
    given_ms=st.integers(0, 2**42),
)

NAMES = st.sampled_from(
    ("meta", "puid", "data", "ndarray", "tensor", "shape", "values", "strData", "names")
)
PARTS = st.sampled_from(("request", "response", "reward", "truth"))
likely = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4)
)


def sent(feedback: Feedback) -> Record:
    """Returns the message of a feedback as it is consumed."""
    key, value, headers = compose(feedback)
    return Record("model_feedback", 0, 7, feedback.given_ms, key, value, headers)


def posted(document: Any, headers: Headers = (), key: bytes | None = None) -> Record:
    return record(json.dumps(document).encode(), headers=headers, key=key)


@given(feedbacks)
def test_composed_feedback_can_be_read(feedback: Feedback) -> None:
    found = read(sent(feedback))
    assert found.response is None or found.response["meta"] == {"puid": feedback.puid}
    for name in ("puid", "truth", "reward", "request", "position", "given_ms"):
        assert getattr(found, name) == getattr(feedback, name)
    for name, value in (feedback.response or {}).items():
        assert found.response is not None
        assert found.response[name] == value
    assert sent(found) == sent(feedback)


def test_a_message_is_seldons_feedback_keyed_by_the_answers_puid() -> None:
    feedback = Feedback("p-1", ("ki", ""), 0.5, {"strData": "x"}, {"data": {}}, ("in", 3, 41), 17)
    message = sent(feedback)
    assert message.key == b"p-1"
    assert json.loads(message.value or b"") == {
        "request": {"strData": "x"},
        "response": {"data": {}, "meta": {"puid": "p-1"}},
        "reward": 0.5,
        "truth": {"data": {"ndarray": ["ki", ""]}},
    }
    assert [header(message.headers, name) for name in ("content-type", "kafka-input-topic")] == [
        b"application/json",
        b"in",
    ]
    assert header(message.headers, "kafka-input-partition") == b"3"
    assert header(message.headers, "kafka-input-offset") == b"41"


def test_feedback_may_begin_with_a_byte_order_mark() -> None:
    found = b'\xef\xbb\xbf{"response": {"meta": {"puid": "p-1"}}, "truth": {"strData": "NaN"}}'
    assert read(record(found)).truth == ("NaN",)


def test_the_answer_is_named_by_the_response_else_the_request_else_the_key() -> None:
    response, request = {"meta": {"puid": "r"}}, {"meta": {"puid": "q"}, "strData": "x"}
    assert read(posted({"request": request, "response": response}, key=b"k")).puid == "r"
    assert read(posted({"request": request, "response": {}}, key=b"k")).puid == "q"
    assert read(posted({"request": {"strData": "x"}, "reward": 1}, key=b"k")).puid == "k"


def test_feedback_on_one_request_without_a_puid_has_one_key() -> None:
    one = read(posted({"request": {"strData": "x", "meta": {}}, "truth": {"strData": "a"}}))
    two = read(posted({"truth": {"strData": "b"}, "request": {"meta": {}, "strData": "x"}}))
    other = read(posted({"request": {"strData": "y", "meta": {}}}))
    assert one.puid == two.puid != other.puid


@pytest.mark.parametrize(
    "headers",
    [
        [("kafka-input-topic", b"in")],
        [("kafka-input-topic", b"in"), ("kafka-input-partition", b"0")],
        [("kafka-input-topic", b"in"), ("kafka-input-partition", b"0"),
         ("kafka-input-offset", b"-1")],
        [("kafka-input-topic", b"in"), ("kafka-input-partition", b"0"),
         ("kafka-input-offset", b"9" * 5000)],
        [("kafka-input-topic", b""), ("kafka-input-partition", b"0"),
         ("kafka-input-offset", b"1")],
        [("kafka-input-topic", None), ("kafka-input-partition", None),
         ("kafka-input-offset", None)],
    ],
)  # fmt: skip
def test_headers_that_name_no_position_are_ignored(headers: Headers) -> None:
    assert read(posted({"reward": 1}, headers, b"k")).position is None


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "a JSON object is expected"),
        ({}, "none of request, response, reward, truth"),
        ({"data": {"ndarray": [1]}}, "none of request, response, reward, truth"),
        ({"reward": 1}, "the feedback has no puid"),
        ({"request": "x"}, "request and its meta must be objects"),
        ({"response": {"meta": "p"}}, "response and its meta must be objects"),
        ({"response": {"meta": {"puid": 7}}}, "meta.puid must be a string"),
        ({"response": {"meta": {"puid": "x" * 1025}}}, "more than 1024 characters"),
        ({"response": {"meta": {"puid": "p"}}, "reward": "1"}, "reward must be a finite number"),
        ({"response": {"meta": {"puid": "p"}}, "truth": {"binData": ""}}, "truth must be strData"),
        ({"response": {"meta": {"puid": "p"}}, "truth": [1]}, "truth must be strData"),
    ],
)
def test_invalid_feedback_is_refused_with_advice(document: Any, complaint: str) -> None:
    with pytest.raises(BadFeedback, match=complaint):
        read(posted(document))


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (None, "the value is null"),
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"reward": NaN}', "NaN"),
        (b"\xff", "UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"request":{"a":' + b"[" * 300 + b"]" * 300 + b"}}", "can't be written as JSON"),
        (b'{"request":[' + b"[]," * 200_000 + b"1]}", "arrays and objects"),
        (b" " * (MOST_BYTES + 1), "more than the 8388608 allowed"),
    ],
)
def test_hostile_values_are_refused(value: bytes | None, complaint: str) -> None:
    with pytest.raises(BadFeedback, match=complaint):
        read(record(value, key=None))


def assert_read_or_refused(message: Record) -> None:
    try:
        found = read(message)
    except BadFeedback as error:
        assert str(error)
    else:
        assert all(isinstance(label, str) for label in found.truth)
        assert read(sent(found)).truth == found.truth


@given(hostile_messages())
def test_any_message_is_feedback_or_refused(hostile: Hostile) -> None:
    assert_read_or_refused(record(hostile.value, headers=hostile.headers))


@given(st.dictionaries(PARTS, likely, min_size=1))
def test_documents_like_feedback_are_feedback_or_refused(document: Any) -> None:
    assert_read_or_refused(posted(document, key=b"k"))


@pytest.mark.parametrize(
    "feedback",
    [
        Feedback("", ("ki",)),
        Feedback("p", reward=float("nan")),
        Feedback("p", reward=10**400),
        Feedback("p", ("x" * 300,)),
        Feedback("p", request={"at": object()}),
        Feedback("p", request={"text": "\ud800"}),
        Feedback("p", request={"rows": [[] for _ in range(200_000)]}),
    ],
)
def test_feedback_that_could_not_be_read_is_not_composed(feedback: Feedback) -> None:
    with pytest.raises(BadFeedback):
        compose(feedback)


def test_nulls_are_treated_as_missing() -> None:
    document = {"request": None, "response": {"meta": {"puid": "p", "tags": None}}}
    assert read(posted({**document, "reward": None, "truth": None})).reward == 0.0


def test_a_reward_alone_is_feedback_too() -> None:
    found = feedback_of({"reward": -1, "response": {"meta": {"puid": "p"}}}, 5)
    assert found == Feedback("p", (), -1.0, given_ms=5)


def test_the_largest_value_is_that_of_the_setting() -> None:
    assert load_settings({}).max_message_bytes == MOST_BYTES
