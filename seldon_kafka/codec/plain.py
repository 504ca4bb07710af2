"""Copies the answers of a user model to plain values.

A user model may keep and reuse its answer, so the answer is copied before the next call. The copy
has only dicts with string keys, lists, strings, numbers, booleans, `None`, numpy arrays, and
protobuf's `Any`. Other values are converted as Seldon's server does
(`flask.json.provider.DefaultJSONProvider`): a date to an HTTP date, a `Decimal` to its text.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import email.utils
import json
import math
import uuid
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from seldon_kafka.codec.seldon_messages import any_for_user_model, is_any
from seldon_kafka.messages import Array, Json, JsonObject

_NUMBERS = "biuf"
# Values of these types are never changed, and need no check. A float may be NaN.
_IMMUTABLE = frozenset((int, bool, str, type(None)))
_FRAME, _SERIES = "pandas.DataFrame", "pandas.Series"
masked: Any = np.ma
"""The module of masked arrays in numpy, which has no type hints."""

# The names of pandas' types of missing values.
_MISSING = ("NaTType", "NAType")


class NotPlain(Exception):
    """An answer has a value that can't be sent; the message has the path of the value."""


def plain(value: Json, path: str, *, non_finite: bool) -> Json:
    """Copies an answer, or a part of one.

    Args:
        value: the answer, or a part of it.
        path: path of the value, for error messages.
        non_finite: whether NaN, infinity and missing values (pandas' `NaT` and `NA`) are allowed; a
            missing value becomes None.

    Returns:
        A copy that shares no mutable memory with `value`.

    Raises:
        NotPlain: the answer has a value of a type that can't be sent, or is nested too deeply; or
            it has NaN, infinity or a missing value, and `non_finite` is False.
    """
    try:
        return _Copy(non_finite).of(value, path)
    except RecursionError:
        raise NotPlain(f"{path} is nested too deeply") from None


def _http_date(moment: datetime.date) -> str:
    """Formats an HTTP date (RFC 9110), in UTC and whole seconds; a time without a zone is UTC."""
    if not isinstance(moment, datetime.datetime):
        moment = datetime.datetime.combine(moment, datetime.time())
    zone = datetime.timezone.utc
    aware = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)
    return email.utils.format_datetime(aware, usegmt=True)


def frame_rows(value: Json) -> Optional[Tuple[Array, List[Json]]]:
    """Returns the rows and column names of a pandas DataFrame or Series, else None.

    The function recognises the classes by their names, and does not import pandas.
    """
    # Before pandas 3 the qualified names contain submodules.
    names = {
        f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}" for kind in type(value).__mro__
    }
    if _FRAME in names:
        return value.to_numpy(), list(value.columns)
    if _SERIES not in names:
        return None
    column = [] if value.name is None else [value.name]
    return value.to_numpy().reshape(-1, 1), column


class _Copy:
    """Copies one answer, recursively."""

    def __init__(self, non_finite: bool) -> None:
        self._non_finite = non_finite

    def of(self, value: Json, path: str) -> Json:
        kind = type(value)
        if kind in _IMMUTABLE:
            return value
        if kind is list:
            return self._list(list(value), path)
        if kind is np.ndarray:
            return self._array(value, path)
        if kind is dict:
            return self._dict(value, path)
        return self._of_subclass(value, path)

    def _of_subclass(self, value: Json, path: str) -> Json:
        # Calls the methods of the plain type, because a subclass may override them.
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return int.__int__(value)
        if isinstance(value, float):
            return self._number(float.__float__(value), path)
        if isinstance(value, dict):
            return self._dict(value, path)
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._list(list(value), path)
        if isinstance(value, np.ndarray):
            return self._array(value, path)
        if isinstance(value, np.generic):
            return self._scalar(value, path)
        return self._other(value, path)

    def _number(self, value: float, path: str) -> float:
        if not self._non_finite and not math.isfinite(value):
            raise NotPlain(f"{path} is {value}")
        return value

    def _dict(self, value: Dict[Any, Any], path: str) -> JsonObject:
        copied = {}
        for key, item in value.items():
            name = key if type(key) is str else self._key(key, path)
            copied[name] = item if type(item) in _IMMUTABLE else self.of(item, f"{path}.{name}")
        return copied

    def _key(self, key: Any, path: str) -> str:
        """Returns the key of an object as `json.dumps` writes it."""
        if isinstance(key, np.generic):
            key = key.item()
        if isinstance(key, str):
            return str.__str__(key)
        if key is None or isinstance(key, bool):
            return {None: "null", True: "true", False: "false"}[key]
        if isinstance(key, int):
            return int.__repr__(key)
        if isinstance(key, float):
            return json.dumps(self._number(float.__float__(key), f"a key of {path}"))
        if isinstance(key, (datetime.date, decimal.Decimal, uuid.UUID)):
            return str(key)
        raise NotPlain(f"{path} has a key of type {type(key).__name__}; keys are texts")

    def _list(self, items: List[Json], path: str) -> List[Json]:
        kinds = set(map(type, items))
        if kinds <= _IMMUTABLE or (kinds == {float} and math.isfinite(sum(items))):
            return items
        return [self._item(item, f"{path}[{index}]") for index, item in enumerate(items)]

    def _item(self, item: Json, path: str) -> Json:
        copied = self.of(item, path)
        # numpy would unmask masked values in an array that it makes of the list.
        return copied.tolist() if masked.is_masked(copied) else copied

    def _scalar(self, value: Json, path: str) -> Json:
        item = value.item()
        if isinstance(item, np.generic):
            # `item` does not convert a numpy.longdouble to a Python float.
            item = float(value)
        return self.of(item, path)

    def _array(self, array: Array, path: str) -> Json:
        kind = array.dtype.kind
        if kind in _NUMBERS:
            return self._numbers(array, path)
        if kind == "U" and not masked.is_masked(array):
            return np.array(array, order="C", subok=False)
        copied = np.empty(array.shape, object)
        flat = copied.reshape(-1)
        # Converts each item, because JSON has no arrays of dates or bytes.
        for index, item in enumerate(_flat_list(array)):
            where = np.unravel_index(index, array.shape) if array.ndim else ()
            flat[index] = self.of(item, path + index_text(where))
        return copied

    def _numbers(self, array: Any, path: str) -> Json:
        dtype = array.dtype.newbyteorder("=")
        if dtype.kind == "f" and dtype.itemsize > 8:
            dtype = np.dtype(np.float64)
        if isinstance(array, np.ma.MaskedArray):
            if masked.is_masked(array):
                copied = masked.array(array, dtype=dtype, copy=True)
                self._check_finite(copied.filled(0), path)
                return copied
            array = array.data
        copied = np.array(array, dtype=dtype, order="C", subok=False)
        self._check_finite(copied, path)
        return copied

    def _check_finite(self, array: Array, path: str) -> None:
        if self._non_finite or array.dtype.kind != "f":
            return
        finite = np.isfinite(array)
        if not finite.all():
            first = np.unravel_index(int(finite.argmin()), array.shape)
            raise NotPlain(f"{path}{index_text(first)} is {array[first]}")

    def _other(self, value: Json, path: str) -> Json:
        if type(value).__name__ in _MISSING:
            if self._non_finite:
                return None
            raise NotPlain(f"{path} is {value}")
        if is_any(value):
            return any_for_user_model(value)
        if isinstance(value, datetime.date):
            return _http_date(value)
        if isinstance(value, (decimal.Decimal, uuid.UUID)):
            return str(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self.of(dataclasses.asdict(value), path)
        frame = frame_rows(value)
        if frame is not None:
            return self.of(frame[0].tolist(), path)
        if hasattr(value, "__html__"):
            return str(value.__html__())
        raise NotPlain(f"{path} is of type {type(value).__name__}, which can't be sent")


def _flat_list(array: Array) -> Json:
    listed = array.reshape(-1).tolist()
    return listed if isinstance(listed, list) else [listed]


def check_unmasked(array: Any, form: str) -> None:
    """Refuses masked values.

    Args:
        array: the array.
        form: name of the form in which the array is sent, which can't express masked values.

    Raises:
        ValueError: the array has masked values.
    """
    if masked.is_masked(array):
        raise ValueError(f"a {form} can't hold masked values; fill them")


def is_finite(value: Json) -> bool:
    """Returns whether a value, such as that of a metric, converts to a finite number."""
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def index_text(index: Sequence[Json]) -> str:
    """Returns an array index as a path: `[3][0]`."""
    return "".join(f"[{int(each)}]" for each in index)
