"""Replies that are written together are those that are written one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka.codec.seldon_json import encode
from kafka.codec.seldon_replies import reply_writer
from kafka.messages import Payload, Prediction
from kafka.served_class import rows_of

KINDS = ["ndarray", "tensor", "tftensor", "binData", "strData", "jsonData"]
texts = st.text(st.characters(codec="utf-8"))
entries = texts | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False)
nested = entries | st.none() | st.lists(texts, max_size=2) | st.just(np.float32(0.1))


@st.composite
def predictions(draw: st.DrawFn) -> tuple[Prediction, list[int]]:
    """A prediction, and the rows of each message in it."""
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    total, columns = sum(counts), draw(st.integers(1, 3))
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
    return Prediction(rows, names, each, ("a", "b"), []), counts


@given(made=predictions(), kind=st.sampled_from(KINDS), puid=texts)
def test_replies_are_the_same_to_the_byte(
    made: tuple[Prediction, list[int]], kind: str, puid: str
) -> None:
    prediction, counts = made
    payload = Payload(kind, None, (), {"puid": "sent"}, None)
    writer = reply_writer(prediction)
    assert writer is not None
    start = 0
    for count in counts:
        stop = start + count
        alone = encode(payload, rows_of(prediction, start, stop), puid)
        assert writer.write(payload, start, stop, puid) == alone
        start = stop


@pytest.mark.parametrize("meta", [{"tags": {"t": 1}}, {"metrics": []}, {"requestPath": {"a": "b"}}])
def test_what_else_a_sender_put_into_meta_is_left_to_the_general_way(meta: Any) -> None:
    writer = reply_writer(Prediction(np.ones((1, 1)), (), {}, (), []))
    assert writer is not None
    assert writer.write(Payload("ndarray", None, (), meta, None), 0, 1, "p") is None


@pytest.mark.parametrize(
    "prediction",
    [
        Prediction({"strData": "x"}, (), {}, (), [], raw=True),
        Prediction(np.ones((2, 2)), (), {}, (), [{"type": "COUNTER", "key": "k", "value": 1}]),
        Prediction([[1], [2]], (), {}, (), []),
        Prediction(np.array([["a"]]), (), {}, (), []),
        Prediction(np.ones(3), (), {}, (), []),
        Prediction(np.ones((2, 0)), (), {}, (), []),
        Prediction("text", (), {}, (), []),
    ],
)
def test_what_is_no_table_of_numbers_is_left_to_the_general_way(prediction: Prediction) -> None:
    assert reply_writer(prediction) is None
