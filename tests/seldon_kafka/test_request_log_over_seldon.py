"""A class in Seldon's server, with every prediction logged before the answer."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from seldon_core import seldon_methods, user_model
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.proto.prediction_pb2 import DefaultData, SeldonMessage, Tensor
from seldon_core.user_model import SeldonResponse

from seldon_kafka.request_log import over_seldon
from seldon_kafka.request_log.over_seldon import Logged, NotLogged
from seldon_kafka.transport.log_entry import Content, Verdict
from seldon_kafka.transport.topic_writer import NotWritten
from tests.support.classes import Double, Raw
from wrapper import BadPayload, KmnistClassifier


class Kept:
    """A log in memory."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, Content, Content, Verdict | None]] = []
        self.is_away = False

    def log(
        self,
        transport: str,
        puid: str,
        request: Content,
        response: Content,
        verdict: Verdict | None = None,
    ) -> None:
        if self.is_away:
            raise NotWritten("the brokers do not answer within 10 s")
        self.entries.append((transport, puid, request, response, verdict))


class Counted:
    """Seldon's metrics."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def update(self, metrics: list[Any], method: str) -> None:
        self.found += metrics


def ask(instance: Any, message: Any) -> tuple[Any, Kept]:
    kept = Kept()
    logged: Any = Logged(instance, kept)  # type: ignore[arg-type]
    return seldon_methods.predict(logged, message, Counted()), kept


TENSOR = SeldonMessage(
    data=DefaultData(tensor=Tensor(shape=[1, 2], values=[1, 2])), meta={"puid": "g"}
)


def test_answers_are_those_of_the_class_and_are_logged() -> None:
    asked = {"data": {"ndarray": [[1, 2]]}, "meta": {"puid": "p"}}
    reply, kept = ask(Double(), asked)
    assert reply == seldon_methods.predict(Double(), asked, Counted())
    ((transport, puid, request, response, verdict),) = kept.entries
    assert (transport, puid, verdict) == ("rest", "p", None)
    assert json.loads(request.json) == asked
    assert json.loads(response.json)["data"]["ndarray"] == [[2, 4]]


def test_protobuf_is_logged_unchanged() -> None:
    reply, kept = ask(Double(), TENSOR)
    assert list(reply.data.tensor.values) == [2, 4]
    ((transport, puid, request, response, _),) = kept.entries
    assert (transport, puid) == ("grpc", "g")
    assert base64.b64decode(json.loads(request.json)) == TENSOR.SerializeToString()
    assert base64.b64decode(json.loads(response.json)) == reply.SerializeToString()


def test_formats_that_the_class_answers_raw_are_logged() -> None:
    instance = KmnistClassifier()
    instance.load()
    reply, kept = ask(instance, {"instances": [[[0] * 28] * 28], "id": "v"})
    assert list(reply) == ["predictions"]
    ((_, puid, _, response, _),) = kept.entries
    assert puid == "v"
    assert json.loads(response.json) == reply
    reply, kept = ask(Raw(), {"strData": "x"})
    assert reply["strData"] == "raw"
    assert len(kept.entries) == 1


def test_a_request_that_the_class_refuses_is_logged_and_still_refused() -> None:
    instance = KmnistClassifier()
    with pytest.raises(BadPayload):
        ask(instance, {"data": {"ndarray": [[1]]}})
    kept = Kept()
    logged: Any = Logged(instance, kept)  # type: ignore[arg-type]
    with pytest.raises(SeldonMicroserviceException) as refusal:
        logged.predict_raw({"data": {"ndarray": [[1]]}})
    assert refusal.value.status_code == 400
    ((_, _, _, response, verdict),) = kept.entries
    assert response.json == b"null"
    assert verdict is not None
    assert (verdict.reason, verdict.failed) == ("bad_shape", False)


class Fails:
    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        raise ZeroDivisionError("oh no")


def test_a_failure_of_the_class_is_logged_as_one() -> None:
    kept = Kept()
    logged: Any = Logged(Fails(), kept)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        logged.predict_raw({"data": {"ndarray": [[1]]}})
    ((*_, verdict),) = kept.entries
    assert verdict == Verdict("predict_failed", "ZeroDivisionError: oh no", True)


@pytest.mark.parametrize("instance", [Double(), Fails()])
def test_a_request_that_cannot_be_logged_is_not_answered(instance: Any) -> None:
    kept = Kept()
    kept.is_away = True
    logged: Any = Logged(instance, kept)  # type: ignore[arg-type]
    with pytest.raises(NotLogged) as refusal:
        seldon_methods.predict(logged, {"data": {"ndarray": [[1, 2]]}}, Counted())
    assert refusal.value.status_code == 503
    assert "can't be logged, so it is not answered: the brokers do not" in str(refusal.value)


class Measures:
    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        metrics = [{"key": "seen", "type": "COUNTER", "value": len(X)}]
        return SeldonResponse(np.asarray(X), metrics=metrics)


@pytest.mark.parametrize("message", [{"data": {"ndarray": [[1, 2]]}}, TENSOR])
@pytest.mark.parametrize("included", [True, False])
def test_a_classs_metrics_are_counted_once_as_without_the_log(
    message: Any, included: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (seldon_methods, user_model, over_seldon):
        monkeypatch.setattr(module, "INCLUDE_METRICS_IN_CLIENT_RESPONSE", included)
    counts, replies = [], []
    for instance in (Measures(), Logged(Measures(), Kept())):  # type: ignore[arg-type]
        counted = Counted()
        replies.append(seldon_methods.predict(instance, message, counted))
        counts.append([(each["key"], each["value"]) for each in counted.found])
    assert counts[0] == counts[1] == [("seen", 1)]
    assert replies[0] == replies[1]


def test_other_attributes_of_the_class_are_kept() -> None:
    instance = KmnistClassifier()
    logged = Logged(instance, Kept())  # type: ignore[arg-type]
    assert logged.class_names() == instance.class_names()
    assert not hasattr(logged, "predict_rest")
    assert not hasattr(logged, "custom_service")


def test_numbers_above_64_bits_are_logged_as_text() -> None:
    _, kept = ask(Raw(), {"x": 2**70})
    ((_, _, request, _, _),) = kept.entries
    assert (request.encoding, json.loads(json.loads(request.json))) == ("text", {"x": 2**70})
