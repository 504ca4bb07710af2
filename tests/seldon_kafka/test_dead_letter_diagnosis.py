"""`show` points at the part of the payload that the reason is about."""

from __future__ import annotations

import json

import pytest

from seldon_kafka.dead_letters.letters import read_letter
from seldon_kafka.dead_letters.show import diagnose, shown
from seldon_kafka.messages import Headers, Rejection
from seldon_kafka.transport.output_messages import TopicLimits, compose
from tests.support.records import record

TARGET = TopicLimits("model_input.dead", 12, 100_000)


def nd(rows: object) -> bytes:
    return json.dumps({"data": {"ndarray": rows}}).encode()


@pytest.mark.parametrize(
    ("reason", "value", "expected"),
    [
        ("not_json", b'{"data": [1,, 2]}', 'line 1, column 13\n{"data": [1,, 2]}\n            ^'),
        ("not_json", b'{\n"a": }', "line 2, column 6"),
        ("invalid_utf8", b'{"strData":"\xff"}', 'byte 12\n{"strData":"ÿ"}\n            ^'),
        ("not_finite", b'{"a":"NaN","b":[1,NaN]}', "character 18"),
        ("ragged", nd([[[0] * 27, [0] * 29]]), "[0] has 27 entries, data.ndarray[0][1] has 29"),
        ("ragged", nd([[1], 2]), "data.ndarray[0] has 1 entries, data.ndarray[1] is no array"),
        ("bad_value", nd([[0, "1"]]), 'data.ndarray[0][1] is "1"'),
        ("bad_value", nd([[0, None]]), "data.ndarray[0][1] is null"),
        ("bad_value", nd([[0, 256]]), "int64, from 0 at [0, 0] to 256 at [0, 1]"),
        ("bad_shape", nd([[0.5] * 756]), "shape (1, 756), float64"),
        ("predict_failed", nd([[1, 2]]), "shape (1, 2)"),
        ("no_payload", b'{"date":{},"other":1}', "the object has date, other"),
        ("no_payload", b"[1]", "5b 31 5d"),
        ("bad_image", b"\x89PNG\r\n\x1a\nxyz", "89 50 4e 47"),
        ("not_protobuf", b"\x0a\xff", "0a ff"),
    ],
)
def test_the_part_with_the_error_is_shown(reason: str, value: bytes, expected: str) -> None:
    assert expected in diagnose(record(value), reason)


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\xff", b"[" * 900 + b"]" * 900, b"1"])
def test_a_reason_that_does_not_fit_the_payload_marks_no_part(value: bytes | None) -> None:
    for reason in (
        "not_json",
        "invalid_utf8",
        "not_finite",
        "ragged",
        "bad_value",
        "predict_failed",
    ):
        diagnose(record(value), reason)


def page(value: bytes, reason: str, headers: Headers = (), class_name: str | None = None) -> str:
    message = compose(Rejection(record(value, headers=headers), reason, "why"), TARGET, TARGET, "w")
    stored = message[1].record._replace(headers=tuple(message[1].headers))
    letter = read_letter(stored)
    assert letter is not None
    return shown(letter, 0, class_name)


def test_a_page_has_reason_advice_error_and_payload() -> None:
    text = page(nd([[1, 2], [3]]), "ragged")
    assert "reason    ragged: why" in text
    assert "advice    Rows differ in length" in text
    assert "trouble   data.ndarray[0] has 2 entries" in text
    assert '{"data"' in text


def test_the_class_shows_the_payload() -> None:
    assert "█" in page(nd([[255] * 784]), "predict_failed", class_name="wrapper.KmnistClassifier")


def test_a_class_that_cannot_show_the_payload_does_no_harm() -> None:
    assert "not described" in page(nd([[1]]), "predict_failed", class_name="Missing")
    text = page(nd([[1]]), "predict_failed", class_name="tests.support.classes.Undescribing")
    assert "not described: RuntimeError: no words" in text


def test_no_text_of_a_sender_controls_the_terminal() -> None:
    text = page(b'{"\x1b[31m": }', "not_json", headers=(("\x1b]0;x\x07", b"\x1b"),))
    assert "\x1b" not in text
    assert "\x07" not in text
