"""Messages of one layout are decoded together, with the same result as one by one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_kafka.codec import Decoded, decode
from seldon_kafka.codec.batch import BatchDecoder
from seldon_kafka.messages import Record
from tests.support.records import record

MAX_BYTES = 1_000_000
ROW = list(range(100))


def text(document: Any, **options: Any) -> bytes:
    return json.dumps(document, **options).encode()


def of_numbers(numbers: list[int], form: int = 0, **options: Any) -> bytes:
    """Returns a message with 100 numbers as 5 rows of 20, in one of the JSON formats."""
    rows = [numbers[start : start + 20] for start in range(0, len(numbers), 20)]
    documents: list[Any] = [
        {"data": {"names": ["a"], "ndarray": rows}, "meta": {"tags": {"n": 1}}},
        {"data": {"tensor": {"shape": [5, 20], "values": numbers}}},
        {"instances": rows},
        {"inputs": [{"name": "x", "shape": [5, 20], "datatype": "FP32", "data": numbers}]},
        {"inputs": [{"name": "x", "shape": [5, 20], "datatype": "INT8", "data": numbers}]},
    ]
    return text(documents[form], **options)


def taught(*values: bytes) -> BatchDecoder:
    """Returns a decoder that knows the layouts of these messages."""
    decoder = BatchDecoder(MAX_BYTES, keeps_requests=False)
    for value in values:
        for _ in range(2):
            decoder.decode([record(value)])
    return decoder


def decode_alone(value: bytes) -> Any:
    """Returns the array and all parts of a message decoded alone, or the reason of a rejection."""
    try:
        payload, wire_format = decode(record(value), MAX_BYTES)
    except Exception as error:
        return type(error), str(error)
    data: Any = payload.data
    array = (data.dtype, data.tolist()) if isinstance(data, np.ndarray) else data
    return payload.kind, array, payload.names, payload.meta, wire_format.name


def decode_together(decoder: BatchDecoder, values: list[bytes]) -> list[Any]:
    """Returns the same for messages that are decoded in one batch."""
    records: list[Record] = [record(value, offset) for offset, value in enumerate(values)]
    blocks, singles = decoder.decode(records)
    found: dict[int, Any] = {}
    for block in blocks:
        payload = block.payload
        for number, index in enumerate(block.indexes):
            array = payload.data[number].astype(payload.dtype)
            whole = (array.dtype, array.tolist())
            found[index] = (
                payload.kind,
                whole,
                payload.names,
                payload.meta,
                block.wire_format.name,
            )
    for index, single in singles:
        if isinstance(single, Decoded):
            found[index] = decode_alone(values[index])
        else:
            found[index] = (type(single), str(single))
    assert sorted(found) == list(range(len(values)))
    return [found[index] for index in range(len(values))]


def is_decoded_together(decoder: BatchDecoder, value: bytes) -> bool:
    return bool(decoder.decode([record(value)])[0])


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize("options", [{}, {"separators": (",", ":")}])
def test_a_layout_is_known_from_its_third_message_on(form: int, options: Any) -> None:
    decoder = taught(of_numbers(ROW, form, **options))
    assert is_decoded_together(decoder, of_numbers(ROW[::-1], form, **options))


def test_numbers_of_a_type_that_does_not_hold_all_of_them_are_checked_one_by_one() -> None:
    small = [number % 100 for number in ROW]
    decoder = taught(of_numbers(small, 4))
    assert not is_decoded_together(decoder, of_numbers(small, 4))


small = st.integers(0, 255)
hundred = st.lists(small, min_size=100, max_size=100)


@given(form=st.integers(0, 3), batch=st.lists(hundred, min_size=1, max_size=5))
def test_messages_of_a_layout_are_decoded_as_alone(form: int, batch: list[list[int]]) -> None:
    decoder = taught(of_numbers(ROW, form))
    values = [of_numbers(numbers, form) for numbers in batch]
    assert all(is_decoded_together(decoder, value) for value in values)
    assert decode_together(decoder, values) == [decode_alone(value) for value in values]


TIGHT = {"separators": (",", ":")}
DIGITS_AND_MORE = st.text('0123456789,[] -.e"', min_size=1, max_size=6)


@given(
    form=st.integers(0, 3),
    index=st.integers(0, 400),
    length=st.integers(0, 6),
    instead=DIGITS_AND_MORE,
    tight=st.booleans(),
)
def test_messages_that_only_resemble_a_layout_are_decoded_as_alone(
    form: int, index: int, length: int, instead: str, tight: bool
) -> None:
    separators = (",", ":") if tight else None
    whole = of_numbers(ROW, form, separators=separators)
    altered = whole[:index] + instead.encode() + whole[index + length :]
    decoder = taught(whole)
    neighbours = [whole, altered, whole]
    assert decode_together(decoder, neighbours) == [decode_alone(value) for value in neighbours]


ROWS = text({"data": {"ndarray": [ROW[:50], ROW[50:]]}})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"[0, 1, 2,", b"[0, ,2 3,"),  # as many numbers, commas and spaces
        (b"[0, 1, 2,", b"[0, 01, 2,"),
        (b"[0, 1, 2,", b"[0, 1, 256,"),
        (b"[0, 1, 2,", b"[0, 1, 1000,"),
        (b"[0, 1, 2,", b"[0, , 1002,"),
        (b"[0, 1, 2,", b"[, 1, 2,"),
        (b"48, 49], [50,", b"48], [49, 50,"),  # as many numbers, rows of 49 and 51
        (b'"data"', b'"dat0a"'),
        (b"[[0, 1,", b"0[[, 1,"),
        (b"[[0, 1,", b"[0[, 1,"),
        (b"98, 99]]", b"98, ]99]"),
        (b"98, 99]]", b"98, ]]99"),
        (b"48, 49], [50,", b"48, ]49, [50,"),
        (b"48, 49], [50,", b"48, 49], 50[,"),
    ],
)
def test_arrays_with_wrong_shapes_are_not_decoded_together(before: bytes, after: bytes) -> None:
    assert before in ROWS
    altered = ROWS.replace(before, after)
    decoder = taught(ROWS)
    assert is_decoded_together(decoder, ROWS)
    assert not is_decoded_together(decoder, altered)
    assert decode_together(decoder, [altered, ROWS]) == [decode_alone(altered), decode_alone(ROWS)]


@given(data=st.data(), tight=st.booleans())
def test_a_misplaced_digit_does_not_replace_a_missing_one(data: st.DataObject, tight: bool) -> None:
    whole = text({"data": {"ndarray": [[1, 2, 3] * 20, [4, 5, 6] * 20]}}, **TIGHT if tight else {})
    indexes = [index for index, byte in enumerate(whole) if chr(byte).isdigit()]
    batch = []
    for _ in range(data.draw(st.integers(1, 3))):
        altered = bytearray(whole)
        if data.draw(st.booleans()):
            del altered[data.draw(st.sampled_from(indexes))]
        if data.draw(st.booleans()):
            altered.insert(data.draw(st.integers(20, len(altered))), ord("7"))
        batch.append(bytes(altered))
    assert decode_together(taught(whole), batch) == [decode_alone(value) for value in batch]


def test_a_missing_number_is_not_taken_from_another_message() -> None:
    short, long = ROWS.replace(b"[[0,", b"[[,"), ROWS.replace(b"99]]", b"99]9]")
    batch = [short, ROWS, long]
    assert decode_together(taught(ROWS), batch) == [decode_alone(value) for value in batch]


def test_messages_with_other_spaces_than_after_commas_are_decoded_one_by_one() -> None:
    odd = ROWS.replace(b"], [", b"] , [")
    assert not is_decoded_together(taught(odd), odd)


@pytest.mark.parametrize(
    "document",
    [
        b'{"jsonData":{"ndarray":%s},"data":{"ndarray":%s}}',
        b'{"data":{"ndarray":%s,"tensor":{"shape":[2,50],"values":%s}}}',
        b'{"data":{"ndarray":%s,"ndarray":%s}}',
        b'{"data":{"ndarray":%s},"x\\"ndarray":%s}',
    ],
)
def test_of_two_arrays_the_right_one_is_read(document: bytes) -> None:
    first, second = ROWS[20:-2], text(ROW[::-1])
    value = document % (first, second)
    other = document % (second, text(ROW))
    decoder = taught(value, other)
    for each in (value, other):
        assert decode_together(decoder, [each]) == [decode_alone(each)]


def test_the_number_of_layouts_is_limited() -> None:
    decoder = BatchDecoder(2**30, keeps_requests=False)
    for extra in range(40):
        value = text({"data": {"ndarray": [ROW * 2000]}, "n" * extra: None})
        for _ in range(2):
            decoder.decode([record(value)])
    kept = decoder._layouts._known
    assert sum(map(len, kept)) <= 8 * 1024 * 1024
