"""Seldon's `/send-feedback` behind its real server, without Kafka."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import json_format
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc

from seldon_kafka.pipeline.load_class import load_class
from tests.support.environments import PYTHON38, ROOT, needs_python38
from tests.support.patience import patient
from tests.wrapper.conftest import Served, rest, serving
from wrapper import BadPayload, KmnistBaseline, KmnistClassifier
from wrapper.feedback import FeedbackNotKept

IMAGE = np.random.default_rng(5).integers(0, 256, (28, 28)).tolist()
FEEDBACK = {
    "request": {"data": {"ndarray": [IMAGE]}},
    "response": {"meta": {"puid": "p-1"}},
    "reward": 0.5,
    "truth": {"data": {"ndarray": ["ki"]}},
}


def proto(document: Any) -> Any:
    return json_format.ParseDict(document, prediction_pb2.Feedback())


def send_over_grpc(server: Served, message: Any) -> Any:
    """Returns the reply of Seldon's server to `SendFeedback`."""
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        return prediction_pb2_grpc.SeldonStub(channel).SendFeedback(message, timeout=patient(30))


def test_without_a_broker_feedback_is_accepted(server: Served) -> None:
    assert rest(server, FEEDBACK, "/send-feedback") == (200, {"meta": {"puid": "p-1"}})
    assert rest(server, FEEDBACK, "/api/v1.0/feedback")[0] == 200
    assert send_over_grpc(server, proto(FEEDBACK)).meta.puid == "p-1"


def test_feedback_without_a_puid_gets_one(server: Served) -> None:
    status, reply = rest(server, {**FEEDBACK, "response": {}}, "/send-feedback")
    assert status == 200
    again = send_over_grpc(server, proto({**FEEDBACK, "response": {}}))
    assert reply["meta"]["puid"] == again.meta.puid != ""


BAD = [
    ({"response": {"meta": {"puid": "p"}}, "truth": {"binData": "AAAA"}}, "truth must be strData"),
    ({"reward": 1}, "the feedback has no puid"),
    ({}, "none of request, response, reward, truth"),
    ({"response": {"meta": {"puid": "p"}}, "reward": "NaN"}, "reward must be a finite number"),
]


@pytest.mark.parametrize(("message", "words"), BAD)
def test_feedback_that_is_not_valid_gets_status_400_over_rest(
    server: Served, message: Any, words: str
) -> None:
    status, reply = rest(server, message, "/send-feedback")
    assert status == 400
    assert words in reply["status"]["info"]


@pytest.mark.parametrize(("message", "words"), BAD)
def test_feedback_that_is_not_valid_gets_the_error_message_over_grpc(
    server: Served, message: Any, words: str
) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        send_over_grpc(server, proto(message))
    assert words in refusal.value.details()


def test_feedback_that_json_cannot_express_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    message = proto(FEEDBACK)
    message.request.customData.type_url = "type.googleapis.com/nobody.knows.It"
    with pytest.raises(BadPayload, match="can't be written as JSON"):
        KmnistClassifier().send_feedback_raw(message)
    monkeypatch.setenv("KAFKA_MAX_MESSAGE_BYTES", "1000")
    with pytest.raises(BadPayload, match="more than the 1000 allowed"):
        KmnistClassifier().send_feedback_raw(proto(FEEDBACK))


def test_wrong_settings_are_logged_and_not_shown_to_the_sender(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KAFKA_BROKR", "b:1")
    with pytest.raises(FeedbackNotKept) as refusal:
        KmnistClassifier().send_feedback_raw(proto(FEEDBACK))
    assert refusal.value.status_code == 503
    assert "KAFKA" not in str(refusal.value)
    assert "did you mean KAFKA_BROKER?" in caplog.text


@pytest.fixture(scope="module")
def without_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Runs a server whose brokers do not answer."""
    log = tmp_path_factory.mktemp("feedback") / "server.log"
    broker = {"KAFKA_BROKER": "127.0.0.1:1", "KAFKA_PRODUCER_MESSAGE_TIMEOUT_MS": "500"}
    with serving("wrapper.KmnistClassifier", log, **broker) as served:
        yield served


def test_without_brokers_feedback_gets_status_503_and_predictions_are_answered(
    without_brokers: Served,
) -> None:
    status, reply = rest(without_brokers, FEEDBACK, "/send-feedback")
    assert status == 503
    assert "the brokers do not answer" in reply["status"]["info"]
    with pytest.raises(grpc.RpcError) as refusal:
        send_over_grpc(without_brokers, proto(FEEDBACK))
    assert "the brokers do not answer" in refusal.value.details()
    assert rest(without_brokers, FEEDBACK["request"])[0] == 200


@pytest.mark.parametrize("kind", [KmnistClassifier, KmnistBaseline])
def test_a_class_that_receives_feedback_is_still_row_wise(kind: type) -> None:
    assert load_class(f"wrapper.{kind.__name__}").stacks


def last_line(python: str | Path, code: str) -> str:
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_a_server_without_feedback_does_not_load_the_kafka_client() -> None:
    code = (
        "import sys, wrapper; wrapper.KmnistClassifier(); print('confluent_kafka' in sys.modules)"
    )
    assert last_line(sys.executable, code) == "False"


@needs_python38
def test_feedback_is_received_on_python_3_8() -> None:
    code = f"""
import json
from google.protobuf import json_format
from seldon_core.proto import prediction_pb2
import seldon_kafka.feedback.writer, wrapper
message = json_format.ParseDict(json.loads({json.dumps(FEEDBACK)!r}), prediction_pb2.Feedback())
print(wrapper.KmnistClassifier().send_feedback_raw(message).meta.puid)
"""
    assert last_line(PYTHON38, code) == "p-1"
