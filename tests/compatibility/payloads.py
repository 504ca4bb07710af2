"""Messages of every format and kind that the classes are asked about."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from google.protobuf import any_pb2, struct_pb2
from google.protobuf.message import DecodeError
from seldon_core.proto import prediction_pb2

Headers = tuple[tuple[str, bytes | None], ...]
Route = Literal["seldon-json", "seldon-protobuf", "v2", "tfserving", "bytes"]

_NAN = float("nan")
_PROTOBUF: Headers = (
    ("content-type", b"application/x-protobuf"),
    ("proto-name", b"seldon.protos.SeldonMessage"),
)
_BYTES: Headers = (("content-type", b"application/octet-stream"),)


@dataclass(frozen=True)
class Payload:
    """A message.

    Attributes:
        name: for reports.
        value: the bytes in Kafka; None for a tombstone.
        headers: the headers in Kafka.
        route: how Seldon gets the same message.
        array: makes what the class gets where Seldon's own reading of the message is not meant.
        difference: the id in `differences.py` that says why it is not.
        is_refused: the runtime refuses the message for every class without raw methods.
        has_infinity_or_nan: the sender wrote such numbers.
    """

    name: str
    value: bytes | None
    headers: Headers = ()
    route: Route = "seldon-json"
    array: Callable[[], Any] | None = None
    difference: str = ""
    is_refused: bool = False
    has_infinity_or_nan: bool = False

    @property
    def is_not_finite(self) -> bool:
        """Whether numbers of the array are missing or not finite."""
        return self.has_infinity_or_nan or (self.array is not None and not _is_finite(self.array()))

    @functools.cached_property
    def sent_puid(self) -> str:
        """The id that the sender gave; empty if none."""
        try:
            if self.route == "seldon-protobuf":
                return str(prediction_pb2.SeldonMessage.FromString(self.value).meta.puid)
            document = json.loads(self.value or b"")
        except (ValueError, DecodeError):
            return ""
        if not isinstance(document, dict):
            return ""
        puid = document.get("id") or (document.get("meta") or {}).get("puid")
        return puid if isinstance(puid, str) else ""


def _is_finite(array: Any) -> bool:
    is_float = isinstance(array, np.ndarray) and array.dtype.kind == "f"
    return not is_float or bool(np.isfinite(array).all())


def seldon(name: str, document: Any, **options: Any) -> Payload:
    """A Seldon JSON message."""
    return Payload(name, json.dumps(document).encode("ascii"), **options)


def ndarray(name: str, rows: Any, **options: Any) -> Payload:
    """A Seldon JSON message with an `ndarray`."""
    return seldon(name, {"data": {"ndarray": rows}}, **options)


def protobuf(name: str, message: Any, **options: Any) -> Payload:
    """A Seldon protobuf message."""
    value = message.SerializeToString()
    return Payload(name, value, _PROTOBUF, "seldon-protobuf", **options)


def v2(name: str, datatype: str, shape: list[int], data: Any, dtype: Any, **more: Any) -> Payload:
    """An Open Inference message of one tensor, and the array that it stands for."""
    tensor = {"name": "input", "shape": shape, "datatype": datatype, "data": data}
    value = json.dumps({**more, "inputs": [tensor]}).encode("ascii")
    numbers = np.array(data, dtype=dtype).reshape(shape)
    return Payload(name, value, (), "v2", numbers.copy, "other-formats")


def tfserving(name: str, instances: Any, array: Callable[[], Any]) -> Payload:
    """A TensorFlow Serving message, and what it stands for."""
    value = json.dumps({"instances": instances}).encode("ascii")
    return Payload(name, value, (), "tfserving", array, "other-formats")


def _missing(rows: Any) -> Callable[[], Any]:
    return np.array(rows, dtype=np.float64).copy


def _message(**fields: Any) -> Any:
    return prediction_pb2.SeldonMessage(**fields)


def _tensor(shape: list[int], values: list[float], names: tuple[str, ...] = ()) -> Any:
    tensor = prediction_pb2.Tensor(shape=shape, values=values)
    return prediction_pb2.DefaultData(names=names, tensor=tensor)


def _list_value(items: list[Any]) -> struct_pb2.ListValue:
    values = struct_pb2.ListValue()
    for item in items:
        if isinstance(item, list):
            values.values.add().list_value.CopyFrom(_list_value(item))
        elif item is None:
            values.values.add().null_value = struct_pb2.NULL_VALUE
        else:
            values.extend([item])
    return values


def _rows(items: list[Any], names: tuple[str, ...] = ()) -> Any:
    return _message(data=prediction_pb2.DefaultData(names=names, ndarray=_list_value(items)))


def _json_data(value: Any) -> Any:
    (item,) = _list_value([value]).values
    return item


def _struct_message() -> Any:
    message = _message()
    message.jsonData.struct_value.update({"text": "hello", "count": 2, "list": [1, "two"]})
    return message


def _custom_message() -> Any:
    wrapped = any_pb2.Any()
    wrapped.Pack(struct_pb2.Value(string_value="custom"))
    return _message(customData=wrapped)


def _meta_message() -> Any:
    message = _message(data=_tensor([1, 3], [1.0, 2.0, 3.0]))
    message.meta.puid = "protobuf-puid"
    message.meta.tags["origin"].string_value = "sensor"
    message.meta.tags["level"].number_value = 3
    message.meta.requestPath["transformer"] = "image:1"
    message.meta.metrics.add(key="sent", type=prediction_pb2.Metric.GAUGE, value=2.5)
    return message


_NDARRAYS = (
    ndarray("ndarray of ints", [[1, 2, 3], [4, 5, 6]]),
    ndarray("ndarray of floats", [[0.5, 1.25, -2.0], [3.5, 4.75, 5.5]]),
    ndarray("ndarray of booleans", [[True, False, True]]),
    ndarray("ndarray of ints and floats", [[1, 2.5, 3]]),
    ndarray("ndarray of whole floats", [[1.0, 2.0, 3.0]]),
    ndarray("ndarray of texts", [["a", "b", "é"], ["c", "d", "e"]]),
    ndarray("ndarray of texts and numbers", [["a", 1, 2.5]]),
    ndarray("ndarray of booleans and ints", [[True, 2, 3]]),
    ndarray("ndarray of objects", [[{"a": 1}, {"b": 2}]]),
    ndarray("ndarray of three dimensions", [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]),
    ndarray("ndarray of one dimension", [1, 2, 3]),
    ndarray("ndarray of one row", [[7, 8, 9]]),
    ndarray("ndarray of one value", [[7]]),
    ndarray("ndarray of five columns", [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]]),
    ndarray("ndarray of four rows", [[9, 1, 5], [2, 2, 2], [0, 7, 3], [4, 4, 1]]),
    ndarray("ndarray of large ints", [[1000, 2000, 3000]]),
    ndarray("ndarray of negative ints", [[-1, -2, -3]]),
    ndarray("ndarray of many small ints", [[number % 256 for number in range(0, 400, 4)]]),
    ndarray("ndarray beyond int64", [[2**63, 1, 2]]),
    ndarray("ndarray beyond uint64", [[2**64, 1, 2]]),
    ndarray("empty ndarray", []),
    ndarray("ndarray of an empty row", [[]]),
    ndarray("ragged ndarray", [[1, 2], [3]]),
    ndarray("ndarray of lists and numbers", [[1, 2], 3]),
    ndarray("scalar ndarray", 3),
    ndarray("text ndarray", "abc"),
    ndarray("null ndarray", None),
    ndarray("ndarray of nulls", [[None, None, None]]),
    ndarray("ndarray of null and text", [["a", None, "b"]]),
    ndarray(
        "ndarray of null and floats",
        [[1.5, None, 3.5]],
        array=_missing([[1.5, _NAN, 3.5]]),
        difference="missing-values",
    ),
    ndarray(
        "ndarray of null and ints",
        [[1, None, 3]],
        array=_missing([[1, _NAN, 3]]),
        difference="missing-values",
    ),
    ndarray(
        "ndarray of null and an int beyond 2^53",
        [[2**53 + 1, None]],
        difference="inexact-beside-missing",
        is_refused=True,
    ),
    ndarray(
        "ndarray of null and NaN",
        [[1, None, _NAN]],
        array=_missing([[1, _NAN, _NAN]]),
        difference="missing-values",
    ),
    ndarray("ndarray of NaN", [[1.0, _NAN, 3.0]], has_infinity_or_nan=True),
    ndarray("ndarray of infinity", [[1.0, float("inf"), float("-inf")]], has_infinity_or_nan=True),
)

_OTHER_JSON = (
    seldon("names", {"data": {"names": ["a", "b", "c"], "ndarray": [[1, 2, 3]]}}),
    seldon("names that are numbers", {"data": {"names": [1, "b"], "ndarray": [[1, 2]]}}),
    seldon("no names", {"data": {"names": [], "ndarray": [[1.5, 2.5, 3.5]]}}),
    seldon("tensor of ints", {"data": {"tensor": {"shape": [2, 3], "values": [1, 2, 3, 4, 5, 6]}}}),
    seldon("tensor of floats", {"data": {"tensor": {"shape": [1, 3], "values": [0.5, 1.5, -2]}}}),
    seldon(
        "tensor with names",
        {"data": {"names": ["a", "b"], "tensor": {"shape": [2, 2], "values": [1, 2, 3, 4]}}},
    ),
    seldon("tensor of a wrong shape", {"data": {"tensor": {"shape": [2, 2], "values": [1, 2, 3]}}}),
    seldon("tensor of one dimension", {"data": {"tensor": {"shape": [3], "values": [1, 2, 3]}}}),
    seldon(
        "tensor with null",
        {"data": {"tensor": {"shape": [1, 3], "values": [1, None, 3]}}},
        array=_missing([[1, _NAN, 3]]),
        difference="missing-values",
    ),
    seldon("data without an array", {"data": {}}),
    seldon("data that is null", {"data": None}),
    seldon(
        "tftensor",
        {"data": {"tftensor": {"dtype": "DT_FLOAT", "floatVal": [1.0]}}},
        difference="tftensor",
    ),
    seldon(
        "tftensor of rows",
        {
            "data": {
                "names": ["a", "b"],
                "tftensor": {
                    "dtype": "DT_INT32",
                    "tensorShape": {"dim": [{"size": "2"}, {"size": "2"}]},
                    "tensorContent": "AQAAAAIAAAADAAAABAAAAA==",
                },
            }
        },
        difference="tftensor",
    ),
    seldon("binData", {"binData": "AAEC/w=="}),
    seldon("binData that is no base64", {"binData": "A"}),
    seldon("strData", {"strData": "some text"}),
    seldon("strData that is a number", {"strData": 5}),
    seldon("jsonData object", {"jsonData": {"text": "hello", "list": [1, 2.5, None, {"a": True}]}}),
    seldon("jsonData list", {"jsonData": [[1, 2, 3], [4, 5, 6]]}),
    seldon("jsonData number", {"jsonData": 7}),
    seldon("jsonData text", {"jsonData": "text"}),
    seldon("jsonData null", {"jsonData": None}),
    seldon("jsonData beyond uint64", {"jsonData": {"id": 2**70, "list": [2**64, 1]}}),
    seldon("two kinds", {"strData": "some text", "binData": "AAEC", "jsonData": [1]}),
    seldon("customData in JSON", {"customData": {"@type": "text", "value": "x"}}),
    seldon("puid", {"meta": {"puid": "sent-1"}, "data": {"ndarray": [[1, 2, 3]]}}),
    seldon("tags", {"meta": {"tags": {"origin": "a", "n": 1}}, "data": {"ndarray": [[1, 2, 3]]}}),
    seldon(
        "metrics",
        {
            "meta": {"metrics": [{"key": "sent", "type": "GAUGE", "value": 2}]},
            "data": {"ndarray": [[1, 2, 3]]},
        },
    ),
    seldon(
        "whole meta",
        {
            "meta": {
                "puid": "sent-2",
                "tags": {"origin": ["a", 1.5, None]},
                "requestPath": {"transformer": "image:1"},
                "routing": {"router": 1},
            },
            "data": {"ndarray": [[1, 2, 3]]},
        },
    ),
    seldon(
        "tensor whose shape is a number",
        {"data": {"tensor": {"shape": 3, "values": [1, 2, 3]}}},
        difference="malformed-messages",
        is_refused=True,
    ),
    seldon(
        "data that is a list",
        {"data": [[1, 2, 3]]},
        difference="malformed-messages",
        is_refused=True,
    ),
    seldon("puid of a number", {"meta": {"puid": 123}, "data": {"ndarray": [[1, 2, 3]]}}),
    seldon("data beside instances", {"data": {"ndarray": [[1, 2, 3]]}, "instances": [[4]]}),
    seldon("jsonData beside inputs", {"jsonData": {"a": 1}, "inputs": {"b": 2}}),
    seldon("empty meta", {"meta": {}, "data": {"ndarray": [[1, 2, 3]]}}),
    seldon("meta that is null", {"meta": None, "data": {"ndarray": [[1, 2, 3]]}}),
    seldon("unknown fields", {"data": {"ndarray": [[1, 2, 3]], "more": 1}, "extra": [1]}),
    seldon("empty object", {}),
    seldon("meta alone", {"meta": {"puid": "sent-3"}}),
    seldon("array at top level", [[1, 2, 3]]),
    seldon("number at top level", 5),
    seldon("null at top level", None),
    Payload("duplicate keys", b'{"strData": "first", "strData": "second"}'),
    Payload("invalid JSON", b'{"data": {"ndarray": [[1, 2'),
    Payload("invalid UTF-8", b'{"strData": "\xff\xfe"}'),
    Payload("byte order mark", b'\xef\xbb\xbf{"strData": "text"}'),
    Payload("no bytes", b""),
    Payload("tombstone", None),
)

_PROTOBUFS = (
    protobuf(
        "protobuf tftensor",
        _message(
            data=prediction_pb2.DefaultData(
                tftensor={
                    "dtype": "DT_DOUBLE",
                    "double_val": [1.5, 2.5, 3.5],
                    "tensor_shape": {"dim": [{"size": 1}, {"size": 3}]},
                }
            )
        ),
        difference="tftensor",
    ),
    protobuf("protobuf tensor", _message(data=_tensor([2, 3], [1, 2, 3, 4.5, 5, 6]))),
    protobuf("protobuf tensor of one dimension", _message(data=_tensor([3], [1, 2, 3]))),
    protobuf("protobuf tensor with names", _message(data=_tensor([1, 2], [1, 2], ("a", "b")))),
    protobuf(
        "protobuf tensor of NaN",
        _message(data=_tensor([1, 3], [1.5, _NAN, 3.5])),
        has_infinity_or_nan=True,
    ),
    protobuf("protobuf ndarray", _rows([[1, 2, 3], [4, 5.5, 6]])),
    protobuf("protobuf ndarray of texts", _rows([["a", "b"]], ("x", "y"))),
    protobuf("protobuf ndarray of texts and numbers", _rows([["a", 1, True]])),
    protobuf(
        "protobuf ndarray of NaN",
        _rows([[1.5, _NAN, 3.5]]),
        array=_missing([[1.5, _NAN, 3.5]]),
        difference="missing-values",
    ),
    protobuf(
        "protobuf ndarray of null and numbers",
        _rows([[1, None, 3]]),
        array=_missing([[1, _NAN, 3]]),
        difference="missing-values",
    ),
    protobuf("ragged protobuf ndarray", _rows([[1, 2], [3]])),
    protobuf("empty protobuf ndarray", _rows([])),
    protobuf("protobuf data without an array", _message(data=prediction_pb2.DefaultData())),
    protobuf("protobuf binData", _message(binData=b"\x00\x01\xff")),
    protobuf("protobuf strData", _message(strData="some text")),
    protobuf("protobuf jsonData object", _struct_message()),
    protobuf("protobuf jsonData list", _message(jsonData=_json_data([1, "a", None]))),
    protobuf("protobuf customData", _custom_message()),
    protobuf("protobuf meta", _meta_message()),
    protobuf("protobuf meta alone", _message(meta=prediction_pb2.Meta(puid="protobuf-2"))),
    Payload("no protobuf", b"\x0a\x80", _PROTOBUF, "seldon-protobuf"),
)

_OTHER_FORMATS = (
    v2("V2 of FP32", "FP32", [2, 3], [0.5, 1.25, -2.0, 3.5, 4.75, 5.5], np.float32),
    v2("V2 of FP64 and an id", "FP64", [1, 3], [1.0, 2.5, 3.0], np.float64, id="v2-id"),
    v2("V2 of FP16", "FP16", [1, 3], [1.5, 2.5, 3.5], np.float16),
    v2("V2 of INT64", "INT64", [2, 3], [1, 2, 3, 4, 5, 6], np.int64),
    v2("V2 of UINT8", "UINT8", [1, 3], [1, 2, 255], np.uint8),
    v2("V2 of INT8", "INT8", [1, 3], [-1, 2, 127], np.int8),
    v2("V2 of BOOL", "BOOL", [1, 3], [True, False, True], np.bool_),
    v2("V2 of BYTES", "BYTES", [1, 2], ["a", "b"], np.str_),
    v2("nested V2", "INT32", [2, 2], [[1, 2], [3, 4]], np.int32),
    v2("V2 with null", "FP64", [1, 3], [1.0, None, 3.0], np.float64),
    Payload(
        "V2 of two inputs",
        json.dumps(
            {
                "inputs": [
                    {"name": name, "shape": [1, 1], "datatype": "INT64", "data": [1]}
                    for name in ("a", "b")
                ]
            }
        ).encode("ascii"),
    ),
    tfserving(
        "TensorFlow Serving of ints",
        [[1, 2, 3], [4, 5, 6]],
        lambda: np.array([[1, 2, 3], [4, 5, 6]]),
    ),
    tfserving("TensorFlow Serving of floats", [[1.5, 2.5]], lambda: np.array([[1.5, 2.5]])),
    tfserving("TensorFlow Serving of bytes", [{"b64": "AAEC"}], lambda: b"\x00\x01\x02"),
    tfserving("TensorFlow Serving with null", [[1, None, 3]], _missing([[1, _NAN, 3]])),
    Payload("bytes", b"\x00\x01\x02\xfe", _BYTES, "bytes"),
    Payload("image bytes", b"\x89PNG\r\n\x1a\nrest", (), "bytes"),
)

PAYLOADS: tuple[Payload, ...] = (*_NDARRAYS, *_OTHER_JSON, *_PROTOBUFS, *_OTHER_FORMATS)

# A few that stand for all forms of reply, for classes that show how replies are composed.
FEW = tuple(
    payload
    for payload in PAYLOADS
    if payload.name
    in (
        "ndarray of ints",
        "tensor of floats",
        "ndarray of texts",
        "ndarray of one dimension",
        "ndarray of three dimensions",
        "names",
        "strData",
        "jsonData object",
        "tags",
        "metrics",
        "whole meta",
        "meta that is null",
        "ragged ndarray",
        "invalid JSON",
        "protobuf tensor",
        "protobuf ndarray",
        "protobuf strData",
        "protobuf meta",
        "V2 of FP32",
        "V2 of FP64 and an id",
        "TensorFlow Serving of ints",
        "bytes",
    )
)
