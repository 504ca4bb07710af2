"""Faults of the runtime that are not mended yet. An entry goes when its fault does."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from tests.compatibility.answer import Rejection, Reply
from tests.compatibility.classes.raw import RAW
from tests.compatibility.classes.transformers import TRANSFORMERS
from tests.compatibility.comparison import is_finite
from tests.compatibility.pairs import Pair


@dataclass(frozen=True)
class KnownFault:
    """A kind of wrong answers to messages that stand alone.

    Attributes:
        id: a stable word.
        fault: what is wrong, with the right behaviour.
        example: the names of a class and a message; the smallest input that shows it.
        classes: the classes that show it; empty for all.
        payloads: the messages that show it; empty for all.
        where: tells the pairs that show it; None for all of those classes and messages.
    """

    id: str
    fault: str
    example: tuple[str, str]
    classes: tuple[str, ...] = ()
    payloads: tuple[str, ...] = ()
    where: Callable[[Pair], bool] | None = None

    def covers(self, pair: Pair) -> bool:
        """Whether a wrong answer of this pair is known."""
        return (
            (not self.classes or pair.case.name in self.classes)
            and (not self.payloads or pair.payload.name in self.payloads)
            and (self.where is None or self.where(pair))
        )


@functools.cache
def known_fault(pair: Pair) -> KnownFault | None:
    """The first entry that covers the pair."""
    return next((fault for fault in KNOWN_FAULTS if fault.covers(pair)), None)


def _is_of_no_dimension(pair: Pair) -> bool:
    if pair.array is not None:
        return bool(pair.array.ndim == 0)
    return pair.payload.name in ("jsonData null",)


def _is_not_finite(pair: Pair) -> bool:
    return isinstance(pair.expected, Reply) and not is_finite(pair.expected.document)


def _is_of_bytes(pair: Pair) -> bool:
    if not _is_foreign(pair) or not isinstance(pair.expected, Reply) or pair.is_raw:
        return False
    return "binData" in pair.expected.document


def _is_read_only(pair: Pair) -> bool:
    return isinstance(pair.expected, Rejection) and "read-only" in pair.expected.message


def _is_foreign(pair: Pair) -> bool:
    return pair.payload.route in ("v2", "tfserving")


def _is_v2(pair: Pair) -> bool:
    return pair.payload.route == "v2"


KNOWN_FAULTS: tuple[KnownFault, ...] = (
    # Requests.
    KnownFault(
        "null-meta",
        "Seldon fails at `meta: null`; the runtime answers.",
        ("Twice", "meta that is null"),
        payloads=("meta that is null",),
    ),
    KnownFault(
        "nan-in-json",
        "The words NaN and Infinity in JSON are refused; Seldon's class gets the numbers.",
        ("SeesExactBytes", "ndarray of NaN"),
        payloads=("ndarray of NaN", "ndarray of infinity"),
    ),
    KnownFault(
        "names-of-numbers",
        "Feature names that are not text are refused; Seldon passes them on.",
        ("Twice", "names that are numbers"),
        payloads=("names that are numbers",),
    ),
    KnownFault(
        "no-array",
        "`data` without an array is refused; Seldon's class gets an empty array.",
        ("StaticPredict", "data without an array"),
        payloads=("data without an array", "protobuf data without an array"),
    ),
    KnownFault(
        "scalar-ndarray",
        "An `ndarray` that is no list is refused; Seldon's class gets an array of no dimension.",
        ("StaticPredict", "scalar ndarray"),
        payloads=("scalar ndarray", "text ndarray", "null ndarray"),
    ),
    KnownFault(
        "missing-values",
        "`null` among numbers does not reach the class as NaN.",
        ("StaticPredict", "ndarray of null and floats"),
        payloads=(
            "ndarray of null and floats",
            "ndarray of null and ints",
            "ndarray of null and NaN",
            "ndarray of null and an int beyond 2^53",
            "tensor with null",
            "protobuf ndarray of NaN",
            "protobuf ndarray of null and numbers",
            "TensorFlow Serving with null",
            "V2 with null",
        ),
    ),
    KnownFault(
        "byte-order-mark",
        "JSON that begins with a byte order mark is refused; Seldon reads it.",
        ("Text", "byte order mark"),
        payloads=("byte order mark",),
    ),
    KnownFault(
        "beyond-uint64",
        "Whole numbers beyond 64 bits become floats.",
        ("StaticPredict", "ndarray beyond uint64"),
        payloads=("ndarray beyond uint64", "jsonData beyond uint64"),
    ),
    KnownFault(
        "raw-any-json",
        "Messages that the runtime cannot read do not reach raw methods.",
        ("RawKeys", "empty object"),
        classes=tuple(case.name for case in RAW),
        payloads=(
            "ragged ndarray",
            "ndarray of lists and numbers",
            "tensor of a wrong shape",
            "data that is null",
            "tftensor",
            "binData that is no base64",
            "customData in JSON",
            "empty object",
            "meta alone",
            "array at top level",
            "number at top level",
            "V2 of two inputs",
            "ragged protobuf ndarray",
            "protobuf meta alone",
        ),
    ),
    KnownFault(
        "custom-data",
        "An answer of `google.protobuf.Any` does not become `customData`.",
        ("ReturnsInput", "protobuf customData"),
        classes=("ReturnsInput",),
        payloads=("protobuf customData",),
    ),
    KnownFault(
        "meta-of-nobody",
        "A JSON message without `meta` reaches the class with an empty dict; Seldon passes None.",
        ("WithKeywords", "ndarray of ints"),
        classes=("SeesAll", "WithKeywords", "FailsWithMeta", "WritesIntoMeta"),
    ),
    KnownFault(
        "read-only-tensor",
        "The array of a protobuf tensor can be written to; Seldon's can not.",
        ("DoublesInPlace", "protobuf tensor"),
        where=_is_read_only,
    ),
    # Classes.
    KnownFault(
        "service-types",
        "Transformers are not served.",
        ("ComponentInput", "ndarray of ints"),
        classes=tuple(case.name for case in TRANSFORMERS),
    ),
    KnownFault(
        "methods-on-the-instance",
        "Methods that are set in `__init__` are not seen.",
        ("TagsFromInit", "ndarray of ints"),
        classes=("TagsFromInit", "RawFromInit"),
    ),
    KnownFault(
        "load",
        "`load` may raise NotImplementedError and AttributeError.",
        ("LoadUnimplemented", "ndarray of ints"),
        classes=("LoadUnimplemented", "LoadNotThere"),
    ),
    KnownFault(
        "predict-not-implemented",
        "SeldonNotImplementedError in `predict` makes an empty array in Seldon.",
        ("Unimplemented", "ndarray of ints"),
        classes=("Unimplemented",),
    ),
    KnownFault(
        "raw-not-implemented",
        "SeldonNotImplementedError in a raw method does not lead to `predict` for V2 and "
        "TensorFlow Serving.",
        ("RawUnimplemented", "V2 of FP32"),
        classes=("RawUnimplemented", "RawForSome", "OldGrpc"),
        where=_is_foreign,
    ),
    KnownFault(
        "called-twice",
        "A message of two rows is answered by a second call.",
        ("CountsCalls", "ndarray of ints"),
        classes=(
            "CountsCalls",
            "CountsRows",
            "CountsNames",
            "RemembersLast",
            "FailsEveryThird",
        ),
    ),
    KnownFault(
        "passing-trouble",
        "A cause, a client's own connection error and a status code do not make the runtime wait.",
        ("LosesConnectionBelow", "ndarray of ints"),
        classes=("LosesConnectionBelow", "LosesRequest", "IsUnavailable", "RawIsUnavailable"),
    ),
    # Answers.
    KnownFault(
        "no-dimension",
        "An answer of no dimension becomes a list of one.",
        ("ScalarArray", "ndarray of ints"),
        where=_is_of_no_dimension,
    ),
    KnownFault(
        "nan-becomes-null",
        "NaN in lists, dicts, tags and metrics becomes null.",
        ("NanInDict", "ndarray of ints"),
        where=_is_not_finite,
    ),
    KnownFault(
        "masked",
        "The reply holds what a masked array hides.",
        ("Masked", "ndarray of ints"),
        classes=("Masked", "MaskedRows", "DeclaredMasked"),
    ),
    KnownFault(
        "tags-none",
        "`tags` may return None.",
        ("TagsNone", "ndarray of ints"),
        classes=("TagsNone",),
    ),
    KnownFault(
        "metric-method",
        "Seldon adds the tag `method` to a metric that has tags.",
        ("MetricsWithTags", "ndarray of ints"),
        classes=("MetricsWithTags",),
    ),
    KnownFault(
        "raw-metrics",
        "A raw reply with a metric without a key is published; Seldon fails.",
        ("RawWithBadMetrics", "ndarray of ints"),
        classes=("RawWithBadMetrics",),
    ),
    KnownFault(
        "raw-status",
        "A raw reply with an error status is published.",
        ("RawWithErrorStatus", "ndarray of ints"),
        classes=("RawWithErrorStatus",),
    ),
    KnownFault(
        "names-keep-their-type",
        "Class names that are not text become texts.",
        ("NamesOfNumbers", "ndarray of ints"),
        classes=("NamesOfNumbers",),
    ),
    KnownFault(
        "names-none",
        "`class_names = None` is written as null by Seldon.",
        ("NamesNone", "ndarray of ints"),
        classes=("NamesNone",),
    ),
    KnownFault(
        "keys-and-decimals",
        "Dict keys that are not text and `Decimal` are refused.",
        ("NumberKeys", "ndarray of ints"),
        classes=(
            "NumberKeys",
            "BooleanKeys",
            "NoneKey",
            "Decimals",
            "DecimalsInList",
            "OddTags",
            "Ids",
            "MixedKeys",
        ),
    ),
    KnownFault(
        "dates",
        "Dates are written in ISO form; Seldon writes HTTP dates.",
        ("Dates", "ndarray of ints"),
        classes=("Dates", "Times", "TimesInList", "DateArray"),
    ),
    KnownFault(
        "big-numbers",
        "Whole numbers beyond 64 bits in answers are refused.",
        ("BigNumbers", "ndarray of ints"),
        classes=("BigNumbers", "BigNumberRows"),
    ),
    KnownFault(
        "big-endian",
        "Big-endian arrays are refused.",
        ("BigEndian", "ndarray of ints"),
        classes=("BigEndian", "BigEndianInts"),
    ),
    KnownFault(
        "lenient",
        "Seldon refuses numpy numbers and arrays in lists, dicts, tags and metrics, arrays of "
        "class names, sets and enums; the runtime writes them.",
        ("NumpyNumbersInDict", "ndarray of ints"),
        classes=(
            "NumpyNumbersInDict",
            "NumpyNumbersInList",
            "ArraysInDict",
            "ArraysInList",
            "SetsInDict",
            "Enumerated",
            "NumpyTags",
            "NumpyMetrics",
            "NamesArray",
            "RawNumpy",
        ),
    ),
    KnownFault(
        "bytearray",
        "Seldon's gRPC refuses a bytearray; the runtime writes it.",
        ("MutableBytes", "protobuf tensor"),
        classes=("MutableBytes", "ReusedBytes"),
    ),
    KnownFault(
        "old-matrix",
        "Seldon nests the values of a tensor that was a `numpy.matrix`.",
        ("OldMatrix", "tensor of floats"),
        classes=("OldMatrix",),
    ),
    KnownFault(
        "foreign-bytes",
        "Bytes that are no UTF-8 lose their value in V2, and are refused in TensorFlow Serving.",
        ("BinaryBytes", "V2 of FP32"),
        where=_is_of_bytes,
    ),
    KnownFault(
        "foreign-texts",
        "Values that Seldon refuses are written as Python's text in V2.",
        ("Complex", "V2 of FP32"),
        classes=("BytesArray", "LongDouble", "Complex", "SpanArray"),
        where=_is_v2,
    ),
)

# Differences that the runtime does not make yet.
AWAITED: tuple[str, ...] = (
    "missing-values",
    "inexact-beside-missing",
    "masked-arrays",
    "error-status",
    "writable-values",
)

# Classes that the runtime serves, though no message can be answered.
SERVED_FAULTS: tuple[str, ...] = (
    "WithoutMethods",
    "ComponentWithoutMethods",
    "TakesRowsOnly",
    "AsyncPredict",
    "Routes",
    "Combines",
)

# Classes that are blamed for what a sender left out.
BLAME_FAULTS: tuple[str, ...] = ("StaticPredict", "Twice", "DeclaredTwice", "RaisesValueError")

# Classes whose answers depend on the other messages of a mixed batch.
MIXED_FAULTS: tuple[str, ...] = (
    "AnyWholeOrFraction",
    "Centred",
    "MinMax",
    "Ranks",
    "Cumulative",
    "OneHot",
    "Noisy",
    "Guarded",
    "Sorted",
    "Shifted",
    "ManyRows",
    "Votes",
    "Similarity",
    "TagsOfAll",
    "MetricsOfAll",
    "Squeezed",
    "SqueezedTotals",
    "KeptBuffer",
    "KeptView",
    "ReusedDict",
    "ReusedList",
    "ReusedInnerList",
    "ReusedResponse",
    "ReusedMetrics",
    "ReusedNames",
    "KeepsInput",
    "CountsTags",
    "CountsMetrics",
    "DeclaredKeptBuffer",
    "DeclaredReusedList",
    "FalselyCentred",
    "FalselyMinMax",
    "FalselyRanks",
    "FalselyCumulative",
    "FalselyOneHot",
    "FalselyNoisy",
    "FalselyShifted",
    "FalselyManyRows",
    "FalselyVotes",
    "FalselyTagsOfAll",
    "FalselyMetricsOfAll",
    "FalselySqueezed",
    "FalselyWholeOrFraction",
)

# Classes whose answers depend on the other messages of one layout.
STACK_FAULTS: tuple[str, ...] = (
    "Centred",
    "MinMax",
    "Ranks",
    "Cumulative",
    "OneHot",
    "Noisy",
    "Guarded",
    "Sorted",
    "Shifted",
    "ManyRows",
    "Votes",
    "Similarity",
    "LabelAndScore",
    "ConstantList",
    "TagsOfAll",
    "MetricsOfAll",
    "Squeezed",
    "SqueezedTotals",
    "ReusedDict",
    "ReusedInnerList",
    "ReusedResponse",
    "ReusedMetrics",
    "ReusedNames",
    "FalselyCentred",
    "FalselyMinMax",
    "FalselyRanks",
    "FalselyCumulative",
    "FalselyOneHot",
    "FalselyNoisy",
    "FalselyGuarded",
    "FalselyShifted",
    "FalselyManyRows",
    "FalselyVotes",
    "FalselyLabelAndScore",
    "FalselyTagsOfAll",
    "FalselyMetricsOfAll",
    "FalselySqueezed",
    "Rows",
    "RowsOfBoth",
    "DeepRows",
    "Texts",
    "RowsOfTexts",
    "Dicts",
    "Nones",
    "TuplesInList",
    "Vector",
    "IntVector",
    "Matrix",
    "Cube",
    "ArrayWithoutColumns",
    "ObjectArray",
    "Sliced",
    "ColumnMajor",
    "ReadOnly",
)
