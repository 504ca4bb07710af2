"""Messages that hypothesis makes up: nonsense, near misses, and good ones that were damaged."""

from __future__ import annotations

import functools
import json
from typing import NamedTuple

from hypothesis import strategies as st

from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from seldon_kafka.messages import Headers

_MOST_BYTES = 3000
_NAMES = (
    "data", "ndarray", "tensor", "shape", "values", "binData", "strData", "jsonData",
    "meta", "puid", "tags", "inputs", "datatype", "instances", "b64", "names", "tftensor",
)  # fmt: skip


class Hostile(NamedTuple):
    """A message's value and headers."""

    value: bytes | None
    headers: Headers


@functools.cache
def good_messages() -> tuple[Hostile, ...]:
    """A good message in each format."""
    images = load_samples().images[:1]
    return tuple(Hostile(encode(each, images), each.headers()) for each in FORMATS.values())


def _documents() -> st.SearchStrategy[object]:
    leaves = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=20)
        | st.sampled_from(("UINT8", "FP32", "BYTES", "AAAA", "iVBORw0KGgo="))
    )
    names = st.sampled_from(_NAMES) | st.text(max_size=5)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=6) | st.dictionaries(names, inner, max_size=5),
        max_leaves=30,
    )


def _headers() -> st.SearchStrategy[Headers]:
    known = st.sampled_from([message.headers for message in good_messages()])
    any_names = st.sampled_from(("content-type", "Content-Type", "proto-name", "n", "ü")) | st.text(
        st.characters(codec="utf-8"), min_size=1, max_size=10
    )
    # A header may have no value at all; the client library can't send an empty name.
    odd = st.lists(st.tuples(any_names, st.none() | st.binary(max_size=30)), max_size=4)
    return known | odd.map(tuple)


@st.composite
def _damaged(draw: st.DrawFn) -> Hostile:
    value, headers = draw(st.sampled_from(good_messages()))
    assert value is not None
    damaged = bytearray(value)
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, len(damaged)))
        insert = draw(st.binary(max_size=4) | st.sampled_from((b"[", b"]", b'"', b"-", b"1e999")))
        damaged[place : place + draw(st.integers(0, 4))] = insert
    return Hostile(bytes(damaged), draw(st.just(headers) | _headers()))


def hostile_messages() -> st.SearchStrategy[Hostile]:
    """Anything that a sender might send, by mistake or on purpose."""
    json_text = _documents().map(lambda document: json.dumps(document).encode())
    anything = st.none() | st.binary(max_size=_MOST_BYTES) | json_text
    return _damaged() | st.builds(Hostile, anything, _headers())
