"""JSON text, parsed within limits, with errors that a sender can act on."""

from __future__ import annotations

import json
from typing import Any, Dict

import numpy as np
import orjson
from numpy.typing import NDArray

from kafka.codec.limits import check_containers
from kafka.reasons import Rejected

JSON_HEADERS = (("content-type", b"application/json"),)

# numpy's own limit on dimensions (NPY_MAXDIMS) until numpy 2.
MAX_DEPTH = 32


def parse_json(value: bytes) -> Dict[str, Any]:
    """The JSON object in `value`; of duplicate keys the last one wins.

    Raises:
        Rejected: it is not UTF-8, not JSON, not an object, or has too many arrays in it.
    """
    check_containers(value)
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise _why_not(value, error) from None
    if not isinstance(document, dict):
        raise Rejected("no_payload", f"a JSON object is expected, got {_kind(document)}")
    return document


def dump_json(document: Any) -> bytes:
    """JSON text of `document`, which may hold numpy arrays."""
    return orjson.dumps(document, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def array_of(values: Any, what: str) -> NDArray[Any]:
    """An array of nested lists.

    Args:
        values: nested lists of numbers, booleans or strings.
        what: how the sender calls it, for the error message.

    Raises:
        Rejected: the lists are ragged or nested too deeply, or there is no list at all.
    """
    if not isinstance(values, list):
        raise Rejected("bad_shape", f"{what} must be an array, got {_kind(values)}")
    depth, inner = 0, values
    while isinstance(inner, list) and inner:
        inner = inner[0]
        depth += 1
        if depth > MAX_DEPTH:
            raise Rejected("too_deep", f"{what} is nested more than {MAX_DEPTH} deep")
    try:
        array = np.array(values)
    except ValueError as error:
        raise Rejected("ragged", f"{what} is not rectangular: {_first_sentence(error)}") from None
    if array.dtype == object and _holds_lists(array):
        raise Rejected("ragged", f"{what} is not rectangular: lists stand beside single values")
    return array


def _holds_lists(array: NDArray[Any]) -> bool:
    return any(isinstance(item, list) for item in array.ravel())


def _first_sentence(error: Exception) -> str:
    return str(error).split(". ")[0]


def _kind(document: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    if document is None:
        return "null"
    return names.get(type(document), "a number")


def _plain(value: Any) -> Any:
    """What orjson can't write by itself: numpy scalars, and arrays it has no type for."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, (set, tuple)):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _why_not(value: bytes, error: orjson.JSONDecodeError) -> Rejected:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as problem:
        return Rejected("invalid_utf8", f"byte {problem.start} is not UTF-8: {problem.reason}")
    if _parses_with_constants(value):
        return Rejected("not_finite", "NaN and Infinity are not JSON; send numbers")
    if any(word in error.msg.lower() for word in ("recursion", "depth limit")):
        return Rejected("too_deep", "the JSON is nested too deeply")
    return Rejected("not_json", f"not JSON: {error.msg} (at character {error.pos})")


def _parses_with_constants(value: bytes) -> bool:
    if not any(word in value for word in (b"NaN", b"Infinity")):
        return False
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True
