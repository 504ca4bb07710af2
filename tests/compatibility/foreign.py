"""Replies in formats that Seldon does not write, against Seldon's JSON for the same array."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from tests.compatibility.comparison import alike, close

_DATATYPES = {
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
}


def is_v2_of(seldon: Any, array: Any, found: Any) -> bool:
    """Whether a V2 reply says what Seldon's JSON says.

    Args:
        seldon: Seldon's JSON.
        array: the array that it was made of; None if of none.
        found: the V2 reply.
    """
    if not isinstance(found, dict) or not isinstance(found.get("outputs"), list):
        return False
    output = found["outputs"][0]
    if array is None:
        one = output["datatype"] == "BYTES" and output["shape"] == [1]
        return one and _is_text_of(seldon, output["data"][0]) and _has_tags(seldon, found)
    return (
        output["shape"] == list(array.shape)
        and output["datatype"] in (_DATATYPES.get(array.dtype.name, "BYTES"), _wide(array))
        and _same_items(
            list(_flat(seldon["data"]["ndarray"], array.ndim)), output["data"], array.dtype
        )
        and _has_names(seldon, output)
        and _has_tags(seldon, found)
    )


def _wide(array: Any) -> str:
    """The datatype of numbers that V2 has no type for."""
    return "FP64" if array.dtype.kind == "f" and array.dtype.itemsize > 8 else ""


def _flat(items: Any, depth: int) -> Iterator[Any]:
    if depth == 0:
        yield items
        return
    for item in items:
        yield from _flat(item, depth - 1)


def _same_items(expected: list[Any], found: Any, dtype: Any) -> bool:
    """By value: V2's datatype says what kind the numbers are of. Other items become texts."""
    if len(expected) != len(found):
        return False
    if dtype.kind not in "biuf":
        return all(
            item == other if isinstance(item, str) else isinstance(other, str)
            for item, other in zip(expected, found, strict=True)
        )
    return all(map(_same_item, expected, found))


def _same_item(expected: Any, found: Any) -> bool:
    if isinstance(expected, (str, bool)):
        return type(expected) is type(found) and bool(expected == found)
    if expected is None or found is None:
        return expected is found
    if not isinstance(found, (int, float)):
        return False
    return bool(expected == found) or close(float(expected), float(found))


def _is_text_of(seldon: Any, text: Any) -> bool:
    if "strData" in seldon:
        return bool(seldon["strData"] == text)
    if "binData" in seldon:
        return _is_text_of_bytes(base64.b64decode(seldon["binData"]), text)
    return alike(seldon["jsonData"], json.loads(text))


def _is_text_of_bytes(value: bytes, text: str) -> bool:
    try:
        return value.decode("utf-8") == text
    except UnicodeDecodeError:
        return text == base64.b64encode(value).decode("ascii")


def _has_names(seldon: Any, output: Any) -> bool:
    names = seldon["data"].get("names") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return True
    return bool(output.get("parameters", {}).get("names", "") == ",".join(names))


def _has_tags(seldon: Any, found: Any) -> bool:
    """Tags of one value are parameters; V2 has no place for others."""
    tags = seldon.get("meta", {}).get("tags", {})
    parameters = found.get("parameters", {})
    return all(
        alike(value, parameters.get(name))
        for name, value in tags.items()
        if isinstance(value, (str, bool, int, float))
    )


def is_tfserving_of(seldon: Any, found: Any) -> bool:
    """Whether a TensorFlow Serving reply says what Seldon's JSON says."""
    if not isinstance(found, dict) or found.keys() != {"predictions"}:
        return False
    predictions = found["predictions"]
    if "binData" in seldon:
        return bool(predictions == {"b64": seldon["binData"]})
    for kind in ("strData", "jsonData"):
        if kind in seldon:
            return alike(seldon[kind], predictions)
    return alike(seldon["data"]["ndarray"], predictions)
