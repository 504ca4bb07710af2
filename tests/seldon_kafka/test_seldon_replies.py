"""Replies that are written together equal those that are written one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_kafka.codec.seldon_json import encode
from seldon_kafka.codec.seldon_replies import reply_writer
from seldon_kafka.messages import Payload, Prediction
from seldon_kafka.pipeline.stacking import rows_of

KINDS = ["ndarray", "tensor", "binData", "strData", "jsonData"]
texts = st.text(st.characters(codec="utf-8"))
entries = texts | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False)
nested = entries | st.none() | st.lists(texts, max_size=2) | st.just(np.float32(0.1))


@st.composite
def predictions(draw: st.DrawFn) -> tuple[Prediction, list[tuple[int, int]]]:
    """Draws a prediction, and its parts: numbers of messages, and of rows in each."""
    parts = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=3))
    total, columns = sum(messages * each for messages, each in parts), draw(st.integers(1, 3))
    dtype = draw(st.sampled_from(["float32", "float64", "float16", "int64", "uint8", ">f4"]))
    rows = np.arange(total * columns, dtype=dtype).reshape(total, columns) / np.dtype(dtype).type(3)
    tags: dict[str, Any] = {
        "a": draw(st.lists(nested, min_size=total, max_size=total)),
        draw(texts): draw(nested),
        "b": draw(st.lists(st.floats(0, 1), min_size=total, max_size=total)),
    }
    kept = draw(st.sets(st.sampled_from(sorted(tags))))
    names = draw(st.lists(texts, max_size=3))
    each = {name: tags[name] for name in tags if name in kept}
    return Prediction(rows, names, each, ("a", "b"), []), parts


@given(made=predictions(), kind=st.sampled_from(KINDS), own=texts)
def test_replies_are_the_same_to_the_byte(
    made: tuple[Prediction, list[tuple[int, int]]], kind: str, own: str
) -> None:
    prediction, parts = made
    payload = Payload(kind, None, (), {"puid": "sent"}, None)
    writer = reply_writer(prediction)
    assert writer is not None
    start = 0
    for messages, each in parts:
        puids = [f"{own}{number}" for number in range(messages)]
        alone = [
            encode(payload, rows_of(prediction, first, first + each), puid)
            for puid, first in zip(puids, range(start, start + messages * each, each), strict=True)
        ]
        texts_of_puids = [orjson.dumps(puid)[1:-1] for puid in puids]
        assert writer.write(payload, start, each, texts_of_puids) == alone
        start += messages * each


@pytest.mark.parametrize("meta", [{"tags": {"t": 1}}, {"metrics": []}, {"requestPath": {"a": "b"}}])
def test_other_parts_of_meta_use_the_general_encoder(meta: Any) -> None:
    writer = reply_writer(Prediction(np.ones((1, 1)), (), {}, (), []))
    assert writer is not None
    assert writer.write(Payload("ndarray", None, (), meta, None), 0, 1, [b"p"]) is None


@pytest.mark.parametrize(
    "prediction",
    [
        Prediction({"strData": "x"}, (), {}, (), [], raw=True),
        Prediction(np.ones((2, 2)), (), {}, (), [{"type": "COUNTER", "key": "k", "value": 1}]),
        Prediction([[1], [2]], (), {}, (), []),
        Prediction(np.array([["a"]]), (), {}, (), []),
        Prediction(np.ones(3), (), {}, (), []),
        Prediction(np.ones((2, 0)), (), {}, (), []),
        Prediction(np.ones((2, 2)), (), {1: "a"}, (), []),  # type: ignore[dict-item]
        Prediction("text", (), {}, (), []),
    ],
)
def test_data_that_is_not_a_table_of_numbers_uses_the_general_encoder(
    prediction: Prediction,
) -> None:
    assert reply_writer(prediction) is None
