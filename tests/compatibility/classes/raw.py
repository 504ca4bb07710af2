"""Classes that get whole messages, and compose whole replies."""

from __future__ import annotations

from typing import Any

import numpy as np
from seldon_core.proto import prediction_pb2
from seldon_core.user_model import SeldonComponent, SeldonNotImplementedError

from tests.compatibility.classes.case import cases


def _is_protobuf(message: Any) -> bool:
    return isinstance(message, prediction_pb2.SeldonMessage)


def _text(message: Any, text: str) -> Any:
    if _is_protobuf(message):
        return prediction_pb2.SeldonMessage(strData=text)
    return {"strData": text}


class RawKeys:
    """Says what the message has."""

    def predict_raw(self, message: Any) -> Any:
        if _is_protobuf(message):
            return _text(message, ",".join(field.name for field, _ in message.ListFields()))
        return _text(message, repr(sorted(message) if isinstance(message, dict) else message))


class RawEcho:
    def predict_raw(self, message: Any) -> Any:
        return message


class RawWritesIntoMessage:
    def predict_raw(self, message: Any) -> Any:
        if _is_protobuf(message):
            message.meta.tags["seen"].bool_value = True
        elif isinstance(message, dict):
            message["meta"] = {"tags": {"seen": True}}
        return message


class RawWithMeta:
    """Composes a `meta` of its own."""

    def predict_raw(self, message: Any) -> Any:
        if _is_protobuf(message):
            reply = prediction_pb2.SeldonMessage(strData="text")
            reply.meta.puid = "made by the class"
            reply.meta.metrics.add(key="k", type=prediction_pb2.Metric.COUNTER, value=1)
            return reply
        metrics = [{"key": "k", "type": "COUNTER", "value": 1}]
        return {"strData": "text", "meta": {"puid": "made by the class", "metrics": metrics}}


class RawWithBadMetrics:
    """Seldon's metrics fail at a metric without a key."""

    def predict_raw(self, message: Any) -> Any:
        if _is_protobuf(message):
            return _text(message, "text")
        return {"strData": "text", "meta": {"metrics": [{"type": "COUNTER", "value": 1}]}}


class RawWithStatus:
    """A reply that says that all is well."""

    def predict_raw(self, message: Any) -> Any:
        if _is_protobuf(message):
            status = prediction_pb2.Status(code=200, info="fine")
            return prediction_pb2.SeldonMessage(strData="text", status=status)
        return {"strData": "text", "status": {"code": 200, "info": "fine", "status": "SUCCESS"}}


class RawWithErrorStatus:
    """A reply that says that the message is bad."""

    def predict_raw(self, message: Any) -> Any:
        if _is_protobuf(message):
            status = prediction_pb2.Status(code=422, info="bad", reason="UNFIT", status=1)
            return prediction_pb2.SeldonMessage(status=status)
        return {"status": {"code": 422, "info": "bad", "reason": "UNFIT", "status": "FAILURE"}}


class RawArrays:
    def predict_raw(self, message: Any) -> Any:
        if _is_protobuf(message):
            tensor = prediction_pb2.Tensor(shape=[1, 2], values=[1.5, 2.5])
            data = prediction_pb2.DefaultData(names=["a"], tensor=tensor)
            return prediction_pb2.SeldonMessage(data=data)
        return {"data": {"names": ["a"], "ndarray": [[1.5, 2]]}, "extra": {"b": None}}


class RawList:
    def predict_raw(self, message: Any) -> Any:
        return [1, "two", None]


class RawText:
    def predict_raw(self, message: Any) -> Any:
        return "text"


class RawNone:
    def predict_raw(self, message: Any) -> Any:
        return None


class RawNumpy:
    """Flask has no JSON for numpy's arrays."""

    def predict_raw(self, message: Any) -> Any:
        return {"data": {"ndarray": np.ones((1, 2))}}


class RawFails:
    def predict_raw(self, message: Any) -> Any:
        raise ValueError("no")


class RawUnimplemented:
    """Seldon goes on to `predict`."""

    def predict_raw(self, message: Any) -> Any:
        raise SeldonNotImplementedError("not here")

    def predict(self, rows: Any, names: Any) -> Any:
        return np.asarray(rows)


class RawForSome:
    """Composes the reply to text only."""

    def predict_raw(self, message: Any) -> Any:
        is_text = message.strData if _is_protobuf(message) else "strData" in message
        if not is_text:
            raise SeldonNotImplementedError("text only")
        return _text(message, "raw")

    def predict(self, rows: Any, names: Any) -> Any:
        return {"kind": type(rows).__name__}


class RawFromInit:
    def __init__(self) -> None:
        self.predict_raw = lambda message: _text(message, "from init")


class OldRest:
    """An older name, for JSON only."""

    def predict_rest(self, message: Any) -> Any:
        return {"jsonData": {"got": repr(message)[:20]}}

    def predict(self, rows: Any, names: Any) -> Any:
        return np.asarray(rows)


class OldGrpc:
    """An older name, for protobuf only."""

    def predict_grpc(self, message: Any) -> Any:
        return prediction_pb2.SeldonMessage(strData=str(message.WhichOneof("data_oneof")))

    def predict(self, rows: Any, names: Any) -> Any:
        return np.asarray(rows)


class OldBoth:
    """The older names come first."""

    def predict_rest(self, message: Any) -> Any:
        return {"strData": "rest"}

    def predict_grpc(self, message: Any) -> Any:
        return prediction_pb2.SeldonMessage(strData="grpc")

    def predict_raw(self, message: Any) -> Any:
        return _text(message, "raw")


class ComponentRaw(SeldonComponent):  # type: ignore[misc]
    def predict_raw(self, msg: Any) -> Any:
        return _text(msg, "component")


RAW = cases(
    RawKeys,
    RawEcho,
    RawWritesIntoMessage,
    RawWithMeta,
    RawWithBadMetrics,
    RawWithStatus,
    RawWithErrorStatus,
    RawArrays,
    RawList,
    RawText,
    RawNone,
    RawNumpy,
    RawFails,
    RawUnimplemented,
    RawForSome,
    RawFromInit,
    OldRest,
    OldGrpc,
    OldBoth,
    ComponentRaw,
)
