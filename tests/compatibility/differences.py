"""Where the runtime's answers differ from Seldon's on purpose, and why."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.compatibility.answer import Answer, Rejection, Reply, Retry
from tests.compatibility.classes import CLASSES
from tests.compatibility.comparison import alike, is_finite
from tests.compatibility.pairs import Pair, expectations
from tests.compatibility.payloads import PAYLOADS

_NO_ANSWER = ("bad_prediction", "bad_value")


@dataclass(frozen=True)
class Difference:
    """One intended difference.

    Attributes:
        id: a stable word.
        when: which classes and messages it is about.
        seldon: what Seldon does.
        runtime: what the runtime does.
        reason: why, in one sentence.
        example: the names of a class and a message that show it.
        applies: whether the pair is such a one; None where the pair's expected answer is made for
            the difference already.
        accepts: whether an answer is right for such a pair.
        needs: a package without which no class shows it.
    """

    id: str
    when: str
    seldon: str
    runtime: str
    reason: str
    example: tuple[str, str]
    applies: Callable[[Pair], bool] | None = None
    accepts: Callable[[Pair, Answer], bool] = Pair.agrees
    needs: str = ""


def verdict(pair: Pair, found: Answer) -> str | None:
    """Judges an answer of the runtime.

    Returns:
        The id of the difference that explains it; empty if it is Seldon's answer, apart from an id
        that Seldon does not write; None if it is a fault.
    """
    applying = _applying(pair)
    if not applying:
        return pair.payload.difference if pair.agrees(found) else None
    return next((each.id for each in applying if each.accepts(pair, found)), None)


@functools.cache
def _applying(pair: Pair) -> list[Difference]:
    return [each for each in DIFFERENCES if each.applies is not None and each.applies(pair)]


def _is_answered_by(pair: Pair, class_name: str) -> bool:
    """Whether Seldon's server of another class answers the message."""
    (case,) = (case for case in CLASSES if case.name == class_name)
    return isinstance(expectations(case).alone(pair.payload).expected, Reply)


def _is_refused_answer(pair: Pair) -> bool:
    """Whether Seldon refuses the answer, not the message."""
    return isinstance(pair.expected, Rejection) and _is_answered_by(pair, "PlainDict")


def _is_rejected(pair: Pair, found: Answer) -> bool:
    return isinstance(found, Rejection)


def _is_not_finite(pair: Pair) -> bool:
    if not isinstance(pair.expected, Reply):
        return False
    # Beside a text Seldon's gRPC makes a text of NaN.
    is_text = pair.case.name.endswith("LabelAndScore") and "'nan'" in str(pair.expected)
    return is_text or not is_finite(pair.expected.document)


_LENIENT = (
    "ArraysInDict",
    "ArraysInList",
    "LongDouble",
    "MutableBytes",
    "NamesArray",
    "NumpyKeys",
    "NumpyMetrics",
    "NumpyNumbersInDict",
    "NumpyNumbersInList",
    "NumpyTags",
    "RawNumpy",
    "ReusedBytes",
    "SetsInDict",
    "StaticNames",
    "Structured",
    "TuplesInDict",
)


# Reasons of messages that no class is given.
_OF_THE_MESSAGE = ("bad_base64", "bad_shape", "bad_value", "no_payload", "ragged", "unsupported")


def _is_lenient(pair: Pair) -> bool:
    if pair.case.name == "OldMatrix":
        return isinstance(pair.expected, Reply) and "tensor" in str(pair.expected)
    is_failure = isinstance(pair.expected, Rejection) and pair.expected.failed
    return pair.case.name in _LENIENT and is_failure


def _is_answered(pair: Pair, found: Any) -> bool:
    """Whether there is a reply; what can't be written in any way is still refused."""
    return isinstance(found, Reply) or found.reason in ("bad_prediction", *_OF_THE_MESSAGE)


def _has_null_meta(pair: Pair) -> bool:
    return pair.payload.name == "meta that is null" and isinstance(pair.expected, Rejection)


def _is_read_only(pair: Pair) -> bool:
    return isinstance(pair.expected, Rejection) and "read-only" in pair.expected.message


def _is_answered_or_not_finite(pair: Pair, found: Answer) -> bool:
    return isinstance(found, Reply) or getattr(found, "reason", "") == "bad_value"


def _is_half_loaded(pair: Pair) -> bool:
    return pair.case.name == "LoadNotThere" and isinstance(pair.expected, Reply)


def _has_error_status(pair: Pair) -> bool:
    if not isinstance(pair.expected, Reply) or not isinstance(pair.expected.document, dict):
        return False
    status = pair.expected.document.get("status")
    is_error = isinstance(status, dict) and status.get("code", 0) >= 400
    return is_error and not pair.case.is_in_trouble


def _is_temporary(pair: Pair) -> bool:
    return pair.case.is_in_trouble


def _is_retried(pair: Pair, found: Answer) -> bool:
    """A message that cannot be read is rejected where it is alone, and waits with the others."""
    if isinstance(found, Rejection):
        return isinstance(pair.expected, Rejection) and not _is_answered_by(pair, "PlainDict")
    return isinstance(found, Retry)


_MASKED = ("Masked", "MaskedRows", "DeclaredMasked")


def _is_masked(pair: Pair) -> bool:
    return (
        pair.case.name in _MASKED
        and (pair.payload.route in ("seldon-protobuf", "v2") or "tftensor" in pair.payload.name)
        and isinstance(pair.expected, Reply)
    )


def _hides(pair: Pair, found: Answer) -> bool:
    """Those classes hide numbers above 2."""
    if not isinstance(found, Reply):
        return isinstance(found, Rejection)
    return not any(number > 2 for number in _numbers(found.document.get("data", found.document)))


def _numbers(document: Any) -> Iterator[float]:
    if isinstance(document, dict):
        for name, part in document.items():
            if name != "shape":
                yield from _numbers(part)
    elif isinstance(document, list):
        for part in document:
            yield from _numbers(part)
    elif isinstance(document, (int, float)) and not isinstance(document, bool):
        yield document


# Seldon writes these in JSON, except for keys of several types, and refuses them in protobuf.
_WRITABLE = (
    "NumberKeys",
    "BooleanKeys",
    "NoneKey",
    "MixedKeys",
    "Decimals",
    "DecimalsInList",
    "Dates",
    "DateArray",
    "Times",
    "TimesInList",
    "Ids",
    "OddTags",
    "TableAsDict",
    "Timestamp",
)


def _is_writable(pair: Pair) -> bool:
    return pair.case.name in _WRITABLE and _is_refused_answer(pair)


def _is_as_in_json(pair: Pair, found: Answer) -> bool:
    """Whether the answer holds what Seldon's JSON for an ordinary message holds."""
    if not isinstance(found, Reply):
        return False
    (payload,) = (payload for payload in PAYLOADS if payload.name == "ndarray of ints")
    in_json = expectations(pair.case).alone(payload).expected
    if not isinstance(in_json, Reply):
        return "jsonData" in found.document or pair.payload.route in ("v2", "tfserving")
    expected, document = _as_doubles(in_json.document), _as_doubles(found.document)
    tags = expected["meta"].get("tags", {})
    # Numbers come in the form of the request; the values that are meant are not among them.
    kinds = ("jsonData",) if tags else ("jsonData", "data")
    return (
        all(alike(expected.get(kind), document.get(kind)) for kind in kinds)
        and tags.items() <= document["meta"].get("tags", {}).items()
    )


def _as_doubles(document: Any) -> Any:
    """Numbers as protobuf has them."""
    if isinstance(document, dict):
        return {name: _as_doubles(part) for name, part in document.items()}
    if isinstance(document, list):
        return [_as_doubles(part) for part in document]
    is_number = isinstance(document, int) and not isinstance(document, bool)
    return float(document) if is_number else document


def _is_named_by_numbers(pair: Pair) -> bool:
    return (
        pair.case.name == "NamesOfNumbers"
        and pair.payload.route == "seldon-protobuf"
        and isinstance(pair.expected, Rejection)
        and _is_answered_by(pair, "StaticPredict")
    )


def _has_names_as_text(pair: Pair, found: Answer) -> bool:
    return isinstance(found, Reply) and found.document["data"]["names"] == [
        "1",
        "2.5",
        "None",
        "True",
    ]


def _has_to_rows_and_raw(pair: Pair) -> bool:
    return pair.case.name == "TurnsIntoRowsOrRaw"


def _is_answered_by_rows(pair: Pair, found: Answer) -> bool:
    (case,) = (case for case in CLASSES if case.name == "TurnsIntoRows")
    return verdict(expectations(case).alone(pair.payload), found) is not None


def _is_table(pair: Pair) -> bool:
    return pair.case.name in ("Table", "Column") and _is_refused_answer(pair)


def _has_rows(pair: Pair, found: Answer) -> bool:
    if not isinstance(found, Reply):
        return False
    return {1.5, 2.5} <= set(_numbers(found.document.get("data", found.document)))


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "made-puid",
        "a message without `meta.puid`",
        "The reply has no `meta.puid`.",
        "The reply has a `meta.puid` made of the record's position. It is the same on every try.",
        "A reader of `at_least_once` replies recognises repetitions by it.",
        ("Twice", "ndarray of ints"),
    ),
    Difference(
        "other-formats",
        "Open Inference (V2) JSON, TensorFlow Serving JSON",
        "Seldon refuses the message, unless the class has `predict_raw` or `predict_rest`.",
        "The class gets the array, dtype included. The reply comes in the request's format.",
        "Producers of other servers can switch without a change.",
        ("Twice", "V2 of FP32"),
    ),
    Difference(
        "tftensor",
        "`tftensor` where TensorFlow is not installed",
        "Seldon answers an error.",
        "The class gets the array. The reply has a `tftensor`, as with TensorFlow.",
        "A tensor can be read without a package of a gigabyte.",
        ("Twice", "tftensor of rows"),
    ),
    Difference(
        "missing-values",
        "`null` among numbers in any array, `NaN` in a protobuf `ndarray`",
        "`null` makes an object array with `None`. `NaN` makes an array of texts.",
        "The class gets a float64 array with NaN.",
        "A missing value is not a reason to compute with objects or texts.",
        ("SeesExactBytes", "ndarray of null and floats"),
    ),
    Difference(
        "inexact-beside-missing",
        "a whole number beyond 2^53 in an array with `null`",
        "The class gets an object array.",
        "The message becomes a dead letter.",
        "float64, which NaN needs, would change the number.",
        ("StaticPredict", "ndarray of null and an int beyond 2^53"),
    ),
    Difference(
        "non-finite-answers",
        "NaN or infinity in an array, a dict, a tag or a metric of an answer",
        "JSON replies hold the words `NaN` and `Infinity`, which are not JSON.",
        "The message becomes a dead letter, `bad_prediction`, or `bad_value` where the sender's "
        "values were not finite. `KAFKA_NON_FINITE=null` writes null instead.",
        "Most JSON parsers refuse such a reply as a whole.",
        ("NanArray", "ndarray of ints"),
        _is_not_finite,
        _is_rejected,
    ),
    Difference(
        "masked-arrays",
        "a masked NumPy array as the answer to a protobuf or V2 message, or to a `tftensor`",
        "The reply holds the values that the mask hides.",
        "The reply never holds a hidden value. The message becomes a dead letter where the format "
        "has no null.",
        "A class masks values so that nobody reads them.",
        ("Masked", "protobuf ndarray"),
        _is_masked,
        _hides,
    ),
    Difference(
        "error-status",
        "a raw reply with `status.code` of 400 or more",
        "Over gRPC, and from transformers, the reply is delivered like any other.",
        "The message becomes a dead letter with the reply's reason.",
        "An error is handled alike over all formats.",
        ("RawWithErrorStatus", "protobuf strData"),
        _has_error_status,
        _is_rejected,
    ),
    Difference(
        "temporary-errors",
        "an exception or a raw reply that says that the error is temporary: a lost connection, a "
        "timeout, `retriable`, a status code of 408, 425, 429, 502, 503 or 504",
        "The caller gets an error and may try again.",
        "The runtime waits and tries again, in order.",
        "The sender of a Kafka message does not wait for the answer and cannot try again.",
        ("LosesConnection", "ndarray of ints"),
        _is_temporary,
        _is_retried,
    ),
    Difference(
        "writable-values",
        "dict keys that are not text, `Decimal`, dates and ids in an answer",
        "gRPC refuses them. JSON refuses keys of several types in one dict.",
        "The reply holds what Seldon's JSON holds: keys as text, decimals as text, HTTP dates.",
        "The answer to a message does not depend on its format.",
        ("NumberKeys", "protobuf strData"),
        _is_writable,
        _is_as_in_json,
    ),
    Difference(
        "names-in-protobuf",
        "class names that are not text, in a protobuf reply",
        "gRPC refuses the reply.",
        "The names become text.",
        "Names in protobuf are texts, and JSON writes these names as they are.",
        ("NamesOfNumbers", "protobuf tensor"),
        _is_named_by_numbers,
        _has_names_as_text,
    ),
    Difference(
        "tables",
        "a DataFrame or Series as the answer",
        "Seldon refuses the answer.",
        "The rows are written, with the column names as class names.",
        "Many classes compute with pandas.",
        ("Table", "ndarray of ints"),
        _is_table,
        _has_rows,
        needs="pandas",
    ),
    Difference(
        "null-meta",
        "`meta` that is null, in JSON",
        "Seldon's server fails at its own attempt to read it.",
        "The message is answered like one without `meta`.",
        "Many JSON libraries write null for what is not set.",
        ("Twice", "meta that is null"),
        _has_null_meta,
        lambda pair, found: isinstance(found, (Reply, Rejection, Retry)),
    ),
    Difference(
        "lenient-answers",
        "NumPy numbers and arrays inside lists, dicts, tags, metrics and class names, tuples and "
        "sets, `bytearray` and `np.longdouble`, a `np.matrix`, a static `class_names`",
        "Seldon refuses them in one format or in all, and nests the values of a matrix.",
        "They are written as what they hold.",
        "Their meaning is plain.",
        ("NumpyNumbersInDict", "ndarray of ints"),
        _is_lenient,
        _is_answered,
    ),
    Difference(
        "writable-arrays",
        "a class that changes the array of a protobuf `tensor`",
        "The array is read-only, so the class fails.",
        "Each call gets an array of its own, which it may change.",
        "A class need not know in which format a message came.",
        ("DoublesInPlace", "protobuf tensor"),
        _is_read_only,
        _is_answered_or_not_finite,
    ),
    Difference(
        "malformed-messages",
        "JSON whose `data` is no object, or whose `tensor.shape` is no array",
        "The class gets an empty array, or NumPy's reading of the shape.",
        "The message becomes a dead letter, unless the class has raw methods.",
        "The sender meant something else.",
        ("Twice", "data that is a list"),
    ),
    Difference(
        "to-rows-and-raw",
        "a class with `to_rows` and `predict_raw`",
        "`predict_raw` answers.",
        "`predict` answers. `predict_raw` is not called.",
        "Only rows can be stacked, and `to_rows` says that `predict` on rows is all there is.",
        ("TurnsIntoRowsOrRaw", "ndarray of ints"),
        _has_to_rows_and_raw,
        _is_answered_by_rows,
    ),
    Difference(
        "failing-load",
        "a class whose `load()` raises AttributeError",
        "Seldon treats the error as a missing `load`, and the server starts.",
        "The worker shows the error and exits.",
        "A model that is loaded by half gives wrong answers.",
        ("LoadNotThere", "ndarray of ints"),
        _is_half_loaded,
        _is_rejected,
    ),
    Difference(
        "refused-classes",
        "a class without `predict`, with a signature that cannot be called, "
        "with `async def predict`, or of type ROUTER or COMBINER",
        "The server starts. It answers an empty array or an error to each message.",
        "The worker says so in one line and exits with status 2.",
        "No message is lost to a class that answers none.",
        ("WithoutMethods", "ndarray of ints"),
    ),
)
