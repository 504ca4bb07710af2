"""Answers in every format: missing values, metrics, and errors of the model's own."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from seldon_core.proto import prediction_pb2
from seldon_core.user_model import SeldonResponse

from seldon_kafka.errors import Retriable
from seldon_kafka.messages import (
    DEAD_APP_CODE,
    DEAD_ERROR,
    DEAD_STATUS_CODE,
    Outcome,
    Rejection,
    Reply,
)
from seldon_kafka.pipeline.pipeline import Pipeline
from seldon_kafka.pipeline.user_model import UserModel
from tests.support.records import ndarray, record

PROTOBUF = (("proto-name", b"seldon.protos.SeldonMessage"),)


class Returns:
    """Returns one answer to every call."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return self.answer


class Raises:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        raise self.error


class RepliesRaw:
    def __init__(self, reply: Any) -> None:
        self.reply = reply

    def predict_raw(self, msg: Any) -> Any:
        return self.reply


def outcome(instance: Any, source: Any = None, *, null: bool = False) -> Outcome:
    served = UserModel(instance, null_non_finite=null)
    (found,) = Pipeline(served, 100_000).run([source or ndarray([[1, 2]])]).outcomes
    return found


def protobuf(form: str) -> Any:
    data = {
        "ndarray": prediction_pb2.DefaultData(ndarray={"values": [{"number_value": 1}]}),
        "tensor": prediction_pb2.DefaultData(tensor={"shape": [1, 1], "values": [1]}),
    }[form]
    value = prediction_pb2.SeldonMessage(data=data).SerializeToString()
    return record(value, headers=PROTOBUF)


def document(found: Outcome) -> Any:
    assert isinstance(found, Reply), found
    return json.loads(found.value)


def message(found: Outcome) -> Any:
    assert isinstance(found, Reply), found
    return prediction_pb2.SeldonMessage.FromString(found.value)


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        (np.array([[1.0, np.nan]]), "answer[0][1]"),
        ([[1.0], [float("inf")]], "answer[1][0]"),
        ({"deep": [{"score": float("nan")}]}, "answer.deep[0].score"),
        (SeldonResponse([1], tags={"a": [np.nan]}), "tags.a[0]"),
        (
            SeldonResponse([1], metrics=[{"type": "GAUGE", "key": "g", "value": float("nan")}]),
            "metrics[0].value",
        ),
    ],
)
def test_nan_and_infinity_are_refused_with_their_path(answer: Any, path: str) -> None:
    for source in (None, protobuf("tensor"), protobuf("ndarray")):
        found = outcome(Returns(answer), source)
        assert isinstance(found, Rejection)
        assert (found.reason, path in found.message) == ("bad_prediction", True)


def test_nan_and_infinity_become_null_in_formats_with_null() -> None:
    rows = Returns(np.array([[1.0, np.nan]]))
    assert document(outcome(rows, null=True))["data"]["ndarray"] == [[1.0, None]]
    values = message(outcome(rows, protobuf("ndarray"), null=True)).data.ndarray.values
    assert values[0].list_value.values[1].WhichOneof("kind") == "null_value"
    kept = message(outcome(rows, protobuf("tensor"), null=True)).data.tensor.values
    assert np.isnan(kept[1])
    nested = Returns({"deep": [float("nan")]})
    assert document(outcome(nested, null=True))["jsonData"] == {"deep": [None]}
    fields = message(outcome(nested, protobuf("tensor"), null=True)).jsonData.struct_value.fields
    assert fields["deep"].list_value.values[0].WhichOneof("kind") == "null_value"
    metric = {"type": "GAUGE", "key": "g", "value": float("nan")}
    found = outcome(Returns(SeldonResponse([1], metrics=[metric])), null=True)
    assert "metrics" not in document(found)["meta"]
    assert isinstance(found, Reply)
    assert [each["key"] for each in found.metrics] == ["g"]


def test_custom_data_comes_back_as_it_came() -> None:
    class Echo:
        def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
            return X

    sent = prediction_pb2.SeldonMessage(customData=AnyMessage(type_url="a/b", value=b"\x01"))
    found = message(outcome(Echo(), record(sent.SerializeToString(), headers=PROTOBUF)))
    assert (found.customData.type_url, found.customData.value) == ("a/b", b"\x01")


class Refused(Exception):
    status_code = 404
    app_code = 17

    def to_dict(self) -> Any:
        return {"status": {"info": str(self)}}


def test_the_details_of_an_exception_become_headers() -> None:
    found = outcome(Raises(Refused("no such model")))
    assert isinstance(found, Rejection)
    assert (found.reason, found.failed) == ("bad_payload", False)
    headers = dict(found.headers)
    assert headers[DEAD_STATUS_CODE] == b"404"
    assert headers[DEAD_APP_CODE] == b"17"
    assert headers[DEAD_ERROR] == b'{"status": {"info": "no such model"}}'


def test_the_error_handler_of_a_class_decides() -> None:
    flask = pytest.importorskip("flask")

    class Handled(Raises):
        model_error_handler = flask.Blueprint("errors", __name__)

    def handle(error: Exception) -> Any:
        return flask.jsonify({"said": str(error)}), 422

    Handled.model_error_handler.app_errorhandler(ValueError)(handle)
    found = outcome(Handled(ValueError("too old")))
    assert isinstance(found, Rejection)
    assert (found.reason, found.failed) == ("bad_payload", False)
    headers = dict(found.headers)
    assert headers[DEAD_STATUS_CODE] == b"422"
    assert json.loads(headers[DEAD_ERROR] or b"") == {"said": "too old"}
    other = outcome(Handled(KeyError("gone")))
    assert isinstance(other, Rejection)
    assert other.failed


@pytest.mark.parametrize("code", [408, 425, 429, 502, 503, 504])
def test_a_raw_reply_with_a_temporary_error_is_tried_again(code: int) -> None:
    with pytest.raises(Retriable):
        outcome(RepliesRaw({"status": {"code": code, "info": "busy"}}))


def test_a_raw_reply_of_an_error_becomes_a_dead_letter_with_its_reason() -> None:
    status = {"code": 422, "reason": "too_old", "info": "the data is of last year"}
    found = outcome(RepliesRaw({"status": status}))
    assert isinstance(found, Rejection)
    assert (found.reason, found.message) == ("too_old", "the data is of last year")
    answer = prediction_pb2.SeldonMessage(status={"code": 500, "info": "broken"})
    failed = outcome(RepliesRaw(answer), protobuf("tensor"))
    assert isinstance(failed, Rejection)
    assert failed.failed


def test_failures_on_missing_values_are_always_the_senders_fault() -> None:
    pipeline = Pipeline(UserModel(Raises(ValueError("no NaN please"))), 100_000)
    records = [record(b'{"data":{"ndarray":[[1,null]]}}', offset) for offset in range(1000)]
    outcomes = pipeline.run(records).outcomes
    assert all(isinstance(each, Rejection) and not each.failed for each in outcomes)
    assert {getattr(each, "reason", "") for each in outcomes} == {"bad_value"}
