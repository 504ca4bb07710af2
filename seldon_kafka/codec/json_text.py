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

# The limit of the dimensions of an array. Before numpy 2, numpy has the same (NPY_MAXDIMS).
MAX_DEPTH = 32


# orjson rounds integers beyond 64 bits, which have 19 digits or more. To find them, every digit is
# replaced by `0`, and any other byte by a space.
_DIGITS_ONLY = bytes(48 if 48 <= byte < 58 else 32 for byte in range(256))
_MANY_DIGITS = b"0" * 19
# Text without any of these has no NaN, no Infinity and no number beyond float64. orjson refuses
# them, and Python's parser accepts them.
_PYTHON_ONLY = re.compile(rb"NaN|Infinity|[eE]\+?\d{3}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_TEXT = frozenset([str])
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Above this, float64 does not have every integer.
_EXACT = 2**53


def parse_json(value: bytes) -> JsonObject:
    """Parses a JSON object; of duplicate keys, the last one wins.

    Args:
        value: JSON text in UTF-8.

    Raises:
        Rejected: the text is not a JSON object in UTF-8, or exceeds a limit.
    """
    document = parse_any_json(value)
    if not isinstance(document, dict):
        raise Rejected("no_payload", f"a JSON object is expected, got {_kind(document)}")
    return document


def parse_any_json(value: bytes) -> Json:
    """Parses any JSON document as Python's own parser does, which Seldon uses.

    `NaN` and `Infinity` are numbers. Integers are exact, up to Python's limit of 4,300 digits.

    Args:
        value: JSON text in UTF-8.

    Raises:
        Rejected: the text is not JSON in UTF-8, or exceeds a limit.
    """
    value = without_byte_order_mark(value)
    check_containers(value)
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        if not _PYTHON_ONLY.search(value):
            raise _why_not(value, error) from None
        return _parse_exactly(value)
    # A search for bytes takes a tenth of the time of a regular expression.
    if _holds_texts_alone(document) or _MANY_DIGITS not in value.translate(_DIGITS_ONLY):
        return document
    # Two parsed documents at a time would take twice the memory.
    del document
    return _parse_exactly(value)


def without_byte_order_mark(value: bytes) -> bytes:
    """Returns JSON text without the byte order mark that some programs write first."""
    return value[len(_BYTE_ORDER_MARK) :] if value.startswith(_BYTE_ORDER_MARK) else value


def _holds_texts_alone(document: Json) -> bool:
    """Returns whether the document is an object of strings only, so that it has no number."""
    return isinstance(document, dict) and _TEXT.issuperset(map(type, document.values()))


def is_strict_json(value: bytes) -> bool:
    """Returns whether JSON text has neither NaN nor infinity.

    Args:
        value: JSON text that `parse_any_json` has accepted.
    """
    return not _PYTHON_ONLY.search(value) or _is_parsed_by_orjson(without_byte_order_mark(value))


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
            # A lone surrogate can't be encoded in UTF-8.
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
    """Writes JSON text; NaN and infinity become `null`.

    Args:
        document: plain values (`seldon_kafka.codec.plain`), which may be numpy arrays.

    Raises:
        TypeError: a value has a type that JSON does not have.
    """
    try:
        return orjson.dumps(document, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        # orjson refuses integers beyond 64 bits, lone surrogates, and more than 255 nested objects.
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
    """Converts nested lists to the array that numpy makes of them.

    `None` among numbers is a missing value and becomes NaN in a float64 array. `None` among other
    values stays `None` in an object array.

    Args:
        values: nested lists of numbers, booleans, strings and `None`, or a single such value.
        what: name of the values in the message of the sender, for the error message.

    Raises:
        Rejected: the lists are ragged or nested too deeply, or an integer in lists with
            `None` is not exact in float64.
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
    """Converts a list to an array, as `array_of` does.

    Raises:
        Rejected: the value is not a list, or `array_of` refuses it.
    """
    if not isinstance(values, list):
        raise Rejected("bad_shape", f"{what} must be an array, got {_kind(values)}")
    return array_of(values, what)


def _with_missing(array: Array, what: str) -> Array:
    """Converts an object array of numbers and `None` to float64; returns others unchanged."""
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
    """Converts values that orjson does not support, such as numpy scalars and some arrays."""
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
