"""Parses JSON text within limits, with errors that help a sender, and writes JSON text."""

from __future__ import annotations

import json
import math
import re
from typing import Iterator

import numpy as np
import orjson

from seldon_kafka.codec.limits import check_containers
from seldon_kafka.errors import Rejected
from seldon_kafka.messages import Array, Json, JsonObject

JSON_HEADERS = (("content-type", b"application/json"),)

# numpy's own limit on dimensions (NPY_MAXDIMS) until numpy 2.
MAX_DEPTH = 32


# orjson rounds whole numbers beyond 64 bits; the largest has 20 digits.
_DIGITS_ONLY = bytes(48 if 48 <= byte < 58 else 32 for byte in range(256))
_MANY_DIGITS = b"0" * 19
# Python's parser accepts these numbers, and JSON has no words for them.
_PYTHON_ONLY = re.compile(rb"NaN|Infinity|[eE]\+?\d{3}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_TEXT = frozenset([str])
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Beyond this, float64 does not hold every whole number.
_EXACT = 2**53


def parse_json(value: bytes) -> JsonObject:
    """Parses a JSON object; the last one of duplicate keys wins.

    Args:
        value: JSON text in UTF-8.

    Raises:
        Rejected: the text is not UTF-8, not JSON, not an object, or has too many arrays.
    """
    document = parse_any_json(value)
    if not isinstance(document, dict):
        raise Rejected("no_payload", f"a JSON object is expected, got {_kind(document)}")
    return document


def parse_any_json(value: bytes) -> Json:
    """Parses any JSON document as Python's own parser does, which Seldon uses.

    `NaN` and `Infinity` are numbers, and whole numbers are exact whatever their length.

    Args:
        value: JSON text in UTF-8.

    Raises:
        Rejected: the text is not UTF-8, not JSON, or has too many arrays.
    """
    if value.startswith(_BYTE_ORDER_MARK):
        value = value[len(_BYTE_ORDER_MARK) :]
    check_containers(value)
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        if not _PYTHON_ONLY.search(value):
            raise _why_not(value, error) from None
        return _parse_exactly(value)
    # A search of bytes takes a tenth of the time of a regular expression.
    if _holds_texts_alone(document) or _MANY_DIGITS not in value.translate(_DIGITS_ONLY):
        return document
    # Two documents at a time would take twice the memory.
    del document
    return _parse_exactly(value)


def _holds_texts_alone(document: Json) -> bool:
    """Returns whether all values of an object are texts, so that it has no number."""
    return isinstance(document, dict) and _TEXT.issuperset(map(type, document.values()))


def is_strict_json(value: bytes) -> bool:
    """Returns whether parsed JSON text follows the standard, without NaN and infinity."""
    return not _PYTHON_ONLY.search(value) or _is_parsed_by_orjson(value)


def _is_parsed_by_orjson(value: bytes) -> bool:
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return True


def parse_strict_json(value: bytes) -> JsonObject:
    """Parses a JSON object without NaN and infinity.

    Raises:
        Rejected: as in `parse_json`, or the text has NaN or infinity.
    """
    document = parse_json(value)
    if not is_strict_json(value):
        raise Rejected("not_finite", "NaN and Infinity are not JSON; send numbers")
    return document


def _parse_exactly(value: bytes) -> Json:
    try:
        document = json.loads(value.decode("utf-8"))
        if _SURROGATE.search(value):
            # Half of a character can't be written in UTF-8.
            json.dumps(document, ensure_ascii=False).encode("utf-8")
        return document
    except UnicodeEncodeError as error:
        raise Rejected(
            "not_json", f"a text holds half of a surrogate pair: {error.reason}"
        ) from None
    except json.JSONDecodeError as error:
        raise _why_not(value, error) from None
    except UnicodeDecodeError as error:
        raise _not_utf8(error) from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        # Python limits a whole number to 4,300 digits by default.
        raise Rejected("bad_value", f"a number is too long: {error}") from None


def dump_json(document: Json) -> bytes:
    """Writes JSON text; missing and infinite numbers become `null`.

    Args:
        document: plain values (`seldon_kafka.codec.plain`); it may hold numpy arrays.

    Raises:
        TypeError: a value has a type that JSON does not have.
    """
    try:
        return orjson.dumps(document, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        # Whole numbers beyond 64 bits, lone surrogates, and more than 255 objects in objects.
        text = json.dumps(_finite(document), separators=(",", ":"), allow_nan=False)
        return text.encode("ascii")


def _finite(value: Json) -> Json:
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def array_of(values: Json, what: str) -> Array:
    """Returns the array that numpy makes of nested lists.

    `None` among numbers is a missing value and becomes NaN in a float64 array. Among other values
    it stays `None` in an object array.

    Args:
        values: nested lists of numbers, booleans, strings and `None`; or a single one of these.
        what: the sender's name for the values, for the error message.

    Raises:
        Rejected: the lists are ragged or nested too deeply, or a whole number beside `None` is
            too large for a float64.
    """
    depth, inner = 0, values
    while isinstance(inner, list) and inner:
        inner = inner[0]
        depth += 1
        if depth > MAX_DEPTH:
            raise Rejected("too_deep", f"{what} is nested more than {MAX_DEPTH} deep")
    try:
        array = np.array(values)
    except (ValueError, OverflowError) as error:
        raise Rejected("ragged", f"{what} is not rectangular: {_first_sentence(error)}") from None
    if array.dtype != object or not array.ndim:
        return array
    if any(isinstance(item, list) for item in array.flat):
        raise Rejected("ragged", f"{what} is not rectangular: lists are mixed with single values")
    return _with_missing(array, what)


def list_of(values: Json, what: str) -> Array:
    """Returns the array of a list, as `array_of` does.

    Raises:
        Rejected: the value is no list, or as in `array_of`.
    """
    if not isinstance(values, list):
        raise Rejected("bad_shape", f"{what} must be an array, got {_kind(values)}")
    return array_of(values, what)


def _with_missing(array: Array, what: str) -> Array:
    """Returns an object array of numbers and `None` as float64, and any other array unchanged."""
    kinds = set(map(type, array.flat))
    if (
        type(None) not in kinds
        or not kinds & {int, float}
        or kinds - {int, float, bool, type(None)}
    ):
        return array
    for index, item in _whole_numbers(array):
        if abs(item) > _EXACT:
            raise Rejected(
                "bad_value",
                f"{what}{list(index)} is {item}, which is not exact beside null: numbers there are "
                "float64; send it without null, or as text",
            )
    return array.astype(np.float64)


def _whole_numbers(array: Array) -> Iterator[Json]:
    return ((index, item) for index, item in np.ndenumerate(array) if type(item) is int)


def _first_sentence(error: Exception) -> str:
    return str(error).split(". ")[0]


def _kind(document: Json) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    if document is None:
        return "null"
    return names.get(type(document), "a number")


def _plain(value: Json) -> Json:
    """Converts values for orjson: numpy scalars, and arrays of types that it does not know."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, (set, tuple)):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _why_not(value: bytes, error: json.JSONDecodeError) -> Rejected:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as problem:
        return _not_utf8(problem)
    if any(word in error.msg.lower() for word in ("recursion", "depth limit")):
        return _too_deep()
    return Rejected("not_json", f"not JSON: {error.msg} (at character {error.pos})")


def _not_utf8(error: UnicodeDecodeError) -> Rejected:
    return Rejected("invalid_utf8", f"byte {error.start} is not UTF-8: {error.reason}")


def _too_deep() -> Rejected:
    return Rejected("too_deep", "the JSON is nested too deeply")
