"""The right answers in a feedback, as labels: one for each row of the message."""

from __future__ import annotations

from typing import List, Sequence, Tuple

from seldon_kafka.errors import Rejected
from seldon_kafka.messages import Json, JsonObject

_LONGEST_LABEL = 256
_EXPECTED = "truth must be strData, or data with an ndarray or a tensor"


def labels_of(truth: Json) -> Tuple[str, ...]:
    """Returns the labels in the truth of a feedback.

    Args:
        truth: a Seldon message as JSON. The text of `strData` is the single label. An entry of an
            `ndarray` or `tensor` is the label of a row: a name or a number. A list of several
            numbers (one-hot or probabilities) means the largest one: its name in `data.names` if
            there are as many names, else its index from 0.

    Returns:
        A text for each row. Whole numbers have no point (`3`, not `3.0`: protobuf has no whole
        numbers in an ndarray). "" for null, and for numbers with several largest ones. Empty if
        there is no truth.

    Raises:
        Rejected: the truth has another form.
    """
    if truth is None or truth == {}:
        return ()
    if not isinstance(truth, dict):
        raise Rejected("bad_value", _EXPECTED)
    if "strData" in truth:
        return (_label(truth["strData"]),)
    data = truth.get("data")
    if not isinstance(data, dict):
        raise Rejected("bad_value", _EXPECTED)
    names = data.get("names") or []
    if not isinstance(names, list):
        raise Rejected("bad_value", "truth.data.names must be an array of texts")
    return tuple(_of_entry(entry, names) for entry in _entries(data))


def _entries(data: JsonObject) -> List[Json]:
    """Returns the entry of each row."""
    if "tensor" in data:
        return _rows_of_tensor(data["tensor"])
    if isinstance(data.get("ndarray"), list):
        return list(data["ndarray"])
    raise Rejected("bad_value", _EXPECTED)


def _rows_of_tensor(tensor: Json) -> List[Json]:
    values = tensor.get("values") if isinstance(tensor, dict) else None
    shape = tensor.get("shape") if isinstance(tensor, dict) else None
    if not isinstance(values, list) or not isinstance(shape, list):
        raise Rejected("bad_value", "truth.data.tensor must be an object with shape and values")
    if len(shape) not in (1, 2) or not all(type(size) is int and size > 0 for size in shape):
        raise Rejected("bad_shape", "truth.data.tensor.shape must be [rows] or [rows, columns]")
    columns = shape[1] if len(shape) == 2 else 1
    if shape[0] * columns != len(values):
        raise Rejected(
            "bad_shape", f"truth.data.tensor.shape {shape} does not hold {len(values)} values"
        )
    return [values[start : start + columns] for start in range(0, len(values), columns)]


def _of_entry(entry: Json, names: Sequence[Json]) -> str:
    if not isinstance(entry, list):
        return _label(entry)
    if len(entry) == 1:
        return _label(entry[0])
    if not entry or not all(_is_number(value) for value in entry):
        raise Rejected(
            "bad_shape", "an entry of truth must be a name, a number, or one number for each class"
        )
    largest = max(entry)
    if entry.count(largest) > 1:
        return ""
    index = entry.index(largest)
    return _label(names[index]) if len(names) == len(entry) else str(index)


def _label(label: Json) -> str:
    if label is None:
        return ""
    if _is_number(label):
        is_whole = isinstance(label, float) and label.is_integer() and abs(label) < 2**53
        return str(int(label)) if is_whole else str(label)
    if not isinstance(label, str):
        raise Rejected("bad_value", "a label must be a text or a number")
    if len(label) > _LONGEST_LABEL:
        raise Rejected("too_large", f"a label has {len(label)} characters, over {_LONGEST_LABEL}")
    return label


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
