"""The class behind a real `seldon-core-microservice`: REST and gRPC."""

import base64
import io
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from seldon_core.proto import prediction_pb2

from model.labels import ROMAJI
from model.loader import load_classifier
from tests.support.patience import patient
from tests.wrapper.conftest import Served, over_grpc, rest

IMAGES = np.random.default_rng(11).integers(0, 256, (40, 28, 28)).astype(np.uint8)


@pytest.fixture(scope="module")
def expected() -> NDArray[np.float32]:
    return load_classifier().probabilities(IMAGES)


def png(image: Any) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(image).save(sink, "PNG")
    return sink.getvalue()


def tensor(images: Any) -> Any:
    return prediction_pb2.SeldonMessage(
        data=prediction_pb2.DefaultData(
            tensor=prediction_pb2.Tensor(shape=images.shape, values=images.ravel())
        )
    )


def test_rest_answers_with_names_probabilities_and_tags(server: Served, expected: Any) -> None:
    status, reply = rest(server, {"data": {"ndarray": IMAGES[:2].tolist()}, "meta": {"puid": "p"}})
    assert status == 200
    assert reply["data"]["names"] == list(ROMAJI)
    assert np.allclose(reply["data"]["ndarray"], expected[:2], atol=1e-5)
    assert reply["meta"]["puid"] == "p"
    assert reply["meta"]["tags"]["confidence"] == pytest.approx(expected[:2].max(axis=1), abs=1e-5)


def test_an_image_gets_the_same_probabilities_in_every_format_over_rest(
    server: Served, expected: Any
) -> None:
    image = IMAGES[0]
    forms: list[dict[str, Any]] = [
        {"data": {"tensor": {"shape": [1, 784], "values": image.ravel().tolist()}}},
        {"data": {"ndarray": (image / 255).tolist()}},
        {"binData": base64.b64encode(png(image)).decode()},
        {"binData": base64.b64encode(image.tobytes()).decode()},
        {"jsonData": image.tolist()},
    ]
    for form in forms:
        _, reply = rest(server, form)
        data = reply["data"]
        values = data["tensor"]["values"] if "tensor" in data else np.ravel(data["ndarray"])
        assert values == pytest.approx(expected[0], abs=1e-5)


def test_open_inference_and_tensorflow_serving_json_are_answered_on_predict(
    server: Served, expected: Any
) -> None:
    body = {"name": "x", "shape": [1, 28, 28], "datatype": "UINT8", "data": IMAGES[0].tolist()}
    _, reply = rest(server, {"inputs": [body]})
    assert reply["outputs"][0]["data"] == pytest.approx(expected[0], abs=1e-5)
    _, reply = rest(server, {"instances": IMAGES[:3].tolist()}, "/api/v1.0/predictions")
    assert np.allclose(reply["predictions"], expected[:3], atol=1e-5)


def test_grpc_gives_the_same_probabilities_as_rest(server: Served, expected: Any) -> None:
    reply = over_grpc(server, tensor(IMAGES[:4]))
    assert np.allclose(np.reshape(reply.data.tensor.values, (4, 10)), expected[:4], atol=1e-5)
    reply = over_grpc(server, prediction_pb2.SeldonMessage(binData=png(IMAGES[5])))
    assert reply.data.tensor.values == pytest.approx(expected[5], abs=1e-5)
    assert reply.meta.tags["label"].list_value.values[0].string_value


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"data": {"ndarray": [[0] * 756]}}, "expected 784 values for each image, got 756"),
        ({"data": {"ndarray": [[1, 2], [3]]}}, "inhomogeneous"),
        ({"data": {"ndarray": [["a"] * 784]}}, "expected numbers from 0 to 255, got text"),
        ({"binData": base64.b64encode(png(IMAGES[0])[:200]).decode()}, "cut off"),
        ({"strData": "hello"}, "got text"),
        ({"instances": [[1, 2]]}, "got 2"),
        ({"nothing": 1}, "Invalid request data type"),
    ],
)
def test_a_bad_payload_gets_status_400_and_advice_over_rest(
    server: Served, message: Any, words: str
) -> None:
    status, reply = rest(server, message)
    assert status == 400
    assert words in reply["status"]["info"]


def test_a_bad_payload_gets_the_error_message_over_grpc(server: Served) -> None:
    # A class cannot set the status of Seldon's gRPC server, so it is UNKNOWN.
    with pytest.raises(grpc.RpcError) as refusal:
        over_grpc(server, tensor(np.zeros((1, 756))))
    assert refusal.value.code() == grpc.StatusCode.UNKNOWN
    assert "expected 784 values for each image, got 756" in refusal.value.details()


def test_concurrent_requests_get_their_own_answers(server: Served, expected: Any) -> None:
    def ask(index: int) -> Any:
        if index % 2:
            return over_grpc(server, tensor(IMAGES[index : index + 1])).data.tensor.values
        _, reply = rest(server, {"data": {"ndarray": IMAGES[index : index + 1].tolist()}})
        return reply["data"]["ndarray"][0]

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, list(range(len(IMAGES))) * 3))
    assert np.allclose(answers, np.tile(expected, (3, 1)), atol=1e-5)


def test_metadata_and_health_are_served(server: Served) -> None:
    for path in ("/metadata", "/health/status"):
        with urllib.request.urlopen(
            f"http://127.0.0.1:{server.rest}{path}", timeout=patient(20)
        ) as reply:
            assert reply.status == 200
