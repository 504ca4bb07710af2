"""Classes that answer with a value of one type, whatever they are asked."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import uuid
from typing import Any

import numpy as np
from seldon_core.user_model import SeldonResponse

from tests.compatibility.classes.case import cases

# numpy's masked arrays have no types.
_MASKED: Any = np.ma
_NAN = float("nan")
_ZONE = datetime.timezone(datetime.timedelta(hours=2))


class _Named(enum.Enum):
    FIRST = "first"


class _Label(str, enum.Enum):
    CAT = "cat"


class _Level(enum.IntEnum):
    HIGH = 3


class _Shouting(str):
    def __str__(self) -> str:
        return self.upper()


class _Answers:
    """Answers with what `answer` makes."""

    def predict(self, rows: Any, names: Any) -> Any:
        return self.answer()

    def answer(self) -> Any:
        raise NotImplementedError


class Text(_Answers):
    def answer(self) -> Any:
        return 'text with "quotes", é and \u2028'


class EmptyText(_Answers):
    def answer(self) -> Any:
        return ""


class NumpyText(_Answers):
    def answer(self) -> Any:
        return np.str_("numpy")


class Bytes(_Answers):
    def answer(self) -> Any:
        return b"plain bytes"


class BinaryBytes(_Answers):
    """Bytes that are no UTF-8."""

    def answer(self) -> Any:
        return b"\x00\xff\xfe"


class MutableBytes(_Answers):
    def answer(self) -> Any:
        return bytearray(b"mutable")


class ViewOfBytes(_Answers):
    def answer(self) -> Any:
        return memoryview(b"view")


class PlainDict(_Answers):
    def answer(self) -> Any:
        return {"b": [1, 2.5, None], "a": {"nested": True, "text": "é"}}


class EmptyDict(_Answers):
    def answer(self) -> Any:
        return {}


class OrderedDict(_Answers):
    def answer(self) -> Any:
        return collections.OrderedDict(z=1, a=[2])


class DefaultDict(_Answers):
    def answer(self) -> Any:
        return collections.defaultdict(list, a=[1])


class NumberKeys(_Answers):
    def answer(self) -> Any:
        return {1: "int", 20: {2.5: "float"}}


class BooleanKeys(_Answers):
    def answer(self) -> Any:
        return {True: 1, False: 0}


class NoneKey(_Answers):
    def answer(self) -> Any:
        return {None: 1}


class MixedKeys(_Answers):
    """Flask sorts keys, which fails for these."""

    def answer(self) -> Any:
        return {1: "int", "a": "text"}


class TupleKeys(_Answers):
    def answer(self) -> Any:
        return {(1, 2): "tuple"}


class NumpyKeys(_Answers):
    def answer(self) -> Any:
        return {np.int64(1): "int"}


class Decimals(_Answers):
    def answer(self) -> Any:
        return {"price": decimal.Decimal("12.50"), "list": [decimal.Decimal(1)]}


class Dates(_Answers):
    def answer(self) -> Any:
        return {"day": datetime.date(2024, 2, 29), "list": [datetime.date(2000, 1, 1)]}


class Times(_Answers):
    def answer(self) -> Any:
        return {
            "naive": datetime.datetime(2024, 2, 29, 12, 30, 15, 250),
            "aware": datetime.datetime(2024, 2, 29, 12, 30, tzinfo=_ZONE),
        }


class ClockTime(_Answers):
    """Flask has no JSON for these."""

    def answer(self) -> Any:
        return {"time": datetime.time(12, 30), "span": datetime.timedelta(1)}


class Ids(_Answers):
    def answer(self) -> Any:
        return {"id": uuid.UUID(int=5)}


class Enumerated(_Answers):
    def answer(self) -> Any:
        return {"kind": _Named.FIRST}


class BigNumbers(_Answers):
    def answer(self) -> Any:
        return {"big": 2**70, "negative": -(2**65), "fits": 2**64 - 1, "list": [10**30]}


class BigNumberRows(_Answers):
    def answer(self) -> Any:
        return [[2**70, 1]]


class NumpyFloatsInDict(_Answers):
    """A float64 is a Python float too."""

    def answer(self) -> Any:
        return {"score": np.float64(0.5), "list": [np.float64(1)]}


class NumpyNumbersInDict(_Answers):
    def answer(self) -> Any:
        return {"count": np.int64(5), "score": np.float32(0.5), "flag": np.bool_(True)}


class ArraysInDict(_Answers):
    def answer(self) -> Any:
        return {"rows": np.arange(4).reshape(2, 2)}


class SetsInDict(_Answers):
    def answer(self) -> Any:
        return {"set": {1}}


class TuplesInDict(_Answers):
    def answer(self) -> Any:
        return {"pair": (1, "two")}


class BytesInDict(_Answers):
    def answer(self) -> Any:
        return {"bytes": b"bytes"}


class Numbers(_Answers):
    def answer(self) -> Any:
        return [1, 2.5, 3]


class Rows(_Answers):
    def answer(self) -> Any:
        return [[1, 2], [3, 4]]


class RowsOfBoth(_Answers):
    """Whole numbers stay whole in Seldon's JSON."""

    def answer(self) -> Any:
        return [[1, 2.5], [3, 4.0]]


class DeepRows(_Answers):
    def answer(self) -> Any:
        return [[[1], [2]], [[3], [4]]]


class Ragged(_Answers):
    def answer(self) -> Any:
        return [[1], [2, 3]]


class Texts(_Answers):
    def answer(self) -> Any:
        return ["one", "two"]


class RowsOfTexts(_Answers):
    def answer(self) -> Any:
        return [["one", "two"], ["three", "four"]]


class TextsAndNumbers(_Answers):
    def answer(self) -> Any:
        return [["one", 1, 2.5, True, None]]


class Dicts(_Answers):
    def answer(self) -> Any:
        return [{"a": 1, "b": [2.5]}, {"a": None}]


class BooleanList(_Answers):
    def answer(self) -> Any:
        return [[True, False]]


class Nones(_Answers):
    def answer(self) -> Any:
        return [None, 1]


class EmptyList(_Answers):
    def answer(self) -> Any:
        return []


class EmptyRow(_Answers):
    def answer(self) -> Any:
        return [[]]


class NumpyNumbersInList(_Answers):
    def answer(self) -> Any:
        return [[np.int64(1), np.int64(2)]]


class ArraysInList(_Answers):
    def answer(self) -> Any:
        return [np.array([1.5, 2.5]), np.array([3.5, 4.5])]


class TuplesInList(_Answers):
    def answer(self) -> Any:
        return [(1, 2), (3, 4)]


class DecimalsInList(_Answers):
    def answer(self) -> Any:
        return [[decimal.Decimal("1.5"), decimal.Decimal(2)]]


class TimesInList(_Answers):
    def answer(self) -> Any:
        return [datetime.datetime(2024, 2, 29, 12, 30)]


class Vector(_Answers):
    def answer(self) -> Any:
        return np.array([1.5, 2.5])


class IntVector(_Answers):
    def answer(self) -> Any:
        return np.array([1, 2])


class Matrix(_Answers):
    def answer(self) -> Any:
        return np.array([[1.5, 2.0], [3.25, 4.0]])


class Cube(_Answers):
    def answer(self) -> Any:
        return np.arange(8.0).reshape(2, 2, 2)


class ScalarArray(_Answers):
    def answer(self) -> Any:
        return np.array(3.5)


class EmptyArray(_Answers):
    def answer(self) -> Any:
        return np.zeros((0, 3))


class ArrayWithoutColumns(_Answers):
    def answer(self) -> Any:
        return np.zeros((2, 0))


class ObjectArray(_Answers):
    def answer(self) -> Any:
        return np.array([["a", 1], [None, 2.5]], dtype=object)


class BooleanArray(_Answers):
    def answer(self) -> Any:
        return np.array([[True, False]])


class TextArray(_Answers):
    def answer(self) -> Any:
        return np.array([["one", "two"]])


class BytesArray(_Answers):
    """Flask has no JSON for bytes."""

    def answer(self) -> Any:
        return np.array([[b"one"]])


class BigEndian(_Answers):
    def answer(self) -> Any:
        return np.array([[1.5, 2.5]], dtype=">f8")


class BigEndianInts(_Answers):
    def answer(self) -> Any:
        return np.array([[1, 256]], dtype=">i4")


class Half(_Answers):
    def answer(self) -> Any:
        return np.array([[0.5, 1.25]], dtype=np.float16)


class SingleArray(_Answers):
    def answer(self) -> Any:
        return np.array([[0.1, 16777216]], dtype=np.float32)


class LongDouble(_Answers):
    def answer(self) -> Any:
        return np.array([[0.5, 1.25]], dtype=np.longdouble)


class SmallInts(_Answers):
    def answer(self) -> Any:
        return np.array([[-128, 127]], dtype=np.int8)


class Unsigned(_Answers):
    def answer(self) -> Any:
        return np.array([[0, 2**64 - 1]], dtype=np.uint64)


class Complex(_Answers):
    """Neither Flask nor protobuf has complex numbers."""

    def answer(self) -> Any:
        return np.array([[1 + 2j]])


class DateArray(_Answers):
    def answer(self) -> Any:
        return np.array([["2024-02-29T12:30:00"]], dtype="datetime64[s]")


class SpanArray(_Answers):
    def answer(self) -> Any:
        return np.array([[5]], dtype="timedelta64[s]")


class Structured(_Answers):
    def answer(self) -> Any:
        return np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])


class Sliced(_Answers):
    """A view that is not contiguous."""

    def answer(self) -> Any:
        return np.arange(12.0).reshape(3, 4)[::2, ::-1]


class ColumnMajor(_Answers):
    def answer(self) -> Any:
        return np.asfortranarray(np.arange(6.0).reshape(2, 3))


class ReadOnly(_Answers):
    def answer(self) -> Any:
        return np.broadcast_to(np.array([1.0, 2.0]), (2, 2))


class OldMatrix(_Answers):
    def answer(self) -> Any:
        return np.asmatrix(np.array([[1.5, 2.5]]))


class Masked(_Answers):
    def answer(self) -> Any:
        return _MASKED.masked_array([[1.5, 99.0, 2.0]], mask=[[False, True, False]])


class Unmasked(_Answers):
    """A masked array that hides nothing."""

    def answer(self) -> Any:
        return _MASKED.masked_array([[1.5, 2.5]])


class MaskedInDict(_Answers):
    def answer(self) -> Any:
        return {"rows": _MASKED.masked_array([1.5, 99.0], mask=[False, True]).tolist()}


class NanArray(_Answers):
    def answer(self) -> Any:
        return np.array([[1.5, _NAN]])


class InfiniteArray(_Answers):
    def answer(self) -> Any:
        return np.array([[float("inf"), -float("inf")]])


class NanInList(_Answers):
    def answer(self) -> Any:
        return [[1, _NAN]]


class NanInDict(_Answers):
    def answer(self) -> Any:
        return {"deep": [{"score": _NAN}]}


class NanInObjects(_Answers):
    def answer(self) -> Any:
        return np.array([["a", _NAN]], dtype=object)


class NanInTags(_Answers):
    def answer(self) -> Any:
        return SeldonResponse([[1]], tags={"score": _NAN})


class NanInMetrics(_Answers):
    def answer(self) -> Any:
        metrics = [{"type": "GAUGE", "key": "level", "value": _NAN}]
        return SeldonResponse([[1]], metrics=metrics)


class OddTags(_Answers):
    """Tags of types that JSON does not have itself."""

    def answer(self) -> Any:
        tags = {
            "day": datetime.date(2024, 2, 29),
            "price": decimal.Decimal("1.5"),
            "nested": {1: 2},
        }
        return SeldonResponse([[1]], tags=tags)


class NumpyTags(_Answers):
    def answer(self) -> Any:
        return SeldonResponse([[1]], tags={"score": np.float32(0.5), "row": np.arange(2)})


class NumpyMetrics(_Answers):
    def answer(self) -> Any:
        return SeldonResponse([[1]], metrics=[{"type": "GAUGE", "key": "k", "value": np.int64(3)}])


class TextEnum(_Answers):
    def answer(self) -> Any:
        return _Label.CAT


class TextEnumsInDict(_Answers):
    def answer(self) -> Any:
        return {"label": _Label.CAT, "all": [_Label.CAT, _Level.HIGH], _Label.CAT: _Level.HIGH}


class TextEnumTags(_Answers):
    def answer(self) -> Any:
        return SeldonResponse([[1]], tags={"label": _Label.CAT, "level": _Level.HIGH})


class TextWithOwnWords(_Answers):
    def answer(self) -> Any:
        return {"said": _Shouting("quietly")}


class Set(_Answers):
    def answer(self) -> Any:
        return {1, 2}


class Tuple(_Answers):
    def answer(self) -> Any:
        return (1, 2)


class NoneAtAll(_Answers):
    def answer(self) -> Any:
        return None


class Integer(_Answers):
    def answer(self) -> Any:
        return 3


class NumpyFloat(_Answers):
    def answer(self) -> Any:
        return np.float64(3.5)


class Boolean(_Answers):
    def answer(self) -> Any:
        return True


class Generator(_Answers):
    def answer(self) -> Any:
        return (number for number in range(2))


class ResponseOfNone(_Answers):
    def answer(self) -> Any:
        return SeldonResponse(None)


VALUES = cases(*_Answers.__subclasses__(), is_about_replies=True)
