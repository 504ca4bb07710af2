"""The classes as Seldon and the stream runtime call them, without a server."""

import base64
import inspect
from typing import Any

import numpy as np
import pytest
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.metadata import validate_model_metadata
from seldon_core.metrics import SeldonMetrics
from seldon_core.proto import prediction_pb2
from seldon_core.seldon_methods import predict
from seldon_core.user_model import SeldonNotImplementedError

from model.artefacts import SHIPPED, read_artefact
from model.chosen import VARIANTS
from model.labels import HIRAGANA, ROMAJI
from wrapper import BadPayload, KmnistBaseline, KmnistClassifier

IMAGES = np.random.default_rng(3).integers(0, 256, (5, 28, 28)).astype(np.uint8)


SERVED = [*VARIANTS, "baseline"]


@pytest.fixture(params=SERVED)
def served(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MODEL_VARIANT", request.param)
    instance = KmnistBaseline() if request.param == "baseline" else KmnistClassifier()
    instance.load()
    return instance


def test_each_row_has_ten_probabilities_and_its_tags(served: Any) -> None:
    answer = served.predict(IMAGES, [])
    assert answer.data.shape == (5, 10)
    assert answer.data.dtype == np.float32
    assert np.allclose(answer.data.sum(axis=1), 1, atol=1e-5)
    assert answer.tags["label"] == [HIRAGANA[i] for i in answer.data.argmax(axis=1)]
    assert answer.tags["confidence"] == pytest.approx(answer.data.max(axis=1))
    abstain_below = float(served.init_metadata()["custom"]["abstain_below"])
    assert answer.tags["abstain"] == [c < abstain_below for c in answer.tags["confidence"]]
    assert {"label", "confidence", "abstain", "model"} <= set(answer.tags)
    assert set(answer.tags) <= {*served.row_tags, "model"}
    assert served.class_names() == list(ROMAJI)


def test_a_row_gets_the_same_answer_unbatched_and_in_a_batch(served: Any) -> None:
    together = served.predict(served.to_rows(IMAGES), []).data
    for image, row in zip(IMAGES, together, strict=True):
        assert served.predict(image.tolist(), []).data[0] == pytest.approx(row, abs=1e-5)


def test_the_class_answers_without_a_call_of_load() -> None:
    assert KmnistClassifier().predict(IMAGES).data.shape == (5, 10)


def test_predict_has_no_meta_parameter_so_that_messages_may_be_stacked() -> None:
    assert list(inspect.signature(KmnistClassifier.predict).parameters) == ["self", "X", "names"]
    for method in ("tags", "metrics", "predict_rest", "predict_grpc"):
        assert not hasattr(KmnistClassifier, method)


def test_the_metadata_passes_seldons_validation(served: Any) -> None:
    metadata = validate_model_metadata(served.init_metadata())
    assert metadata["name"] == type(served).__name__
    assert metadata["versions"] == served.health_status()


def test_answers_and_health_and_metadata_name_the_artefact(served: Any) -> None:
    metadata = served.init_metadata()
    artefact = read_artefact(SHIPPED / metadata["custom"]["variant"])
    assert served.predict(IMAGES).tags["model"] == artefact.name
    assert served.health_status() == metadata["versions"] == [artefact.name]


def test_a_payload_is_described_by_a_drawing() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[0, 0] = image[1, 1] = image[2:4, 2] = 255
    lines = KmnistClassifier().describe(image).splitlines()
    assert lines[0].startswith("▀▄ ")
    assert lines[1].startswith("  █ ")
    assert [len(line) for line in lines[:14]] == [28] * 14
    assert lines[14] == "1 of 1 image(s) of 28 x 28"
    assert "got 756" in KmnistClassifier().describe(np.zeros(756))


def test_open_inference_json_is_answered_in_the_same_format() -> None:
    served = KmnistClassifier()
    tensor = {
        "name": "x",
        "shape": [5, 28, 28],
        "datatype": "UINT8",
        "data": IMAGES.ravel().tolist(),
    }
    reply = served.predict_raw({"id": "seven", "inputs": [tensor]})
    expected = served.predict(IMAGES)
    assert reply["id"] == "seven"
    rows, *tags = reply["outputs"]
    assert (rows["name"], rows["shape"], rows["datatype"]) == ("predict", [5, 10], "FP32")
    assert rows["data"] == pytest.approx(expected.data.ravel())
    assert rows["parameters"]["names"].split(",") == list(ROMAJI)
    assert {tag["name"]: tag["data"] for tag in tags} == {
        name: values for name, values in expected.tags.items() if name in served.row_tags
    }
    assert reply["parameters"] == {"model": expected.tags["model"]}


def test_the_datatype_determines_the_scale_of_open_inference_json() -> None:
    tensor = {"name": "x", "shape": [1, 28, 28], "datatype": "FP32", "data": [1] * 784}
    served = KmnistClassifier()
    floats = served.predict_raw({"inputs": [tensor]})["outputs"][0]["data"]
    assert floats == pytest.approx(served.predict(np.full((28, 28), 255)).data[0])


def test_tensorflow_serving_json_is_answered_in_the_same_format() -> None:
    served = KmnistClassifier()
    expected = served.predict(IMAGES).data
    reply = served.predict_raw({"instances": IMAGES.tolist()})
    assert np.allclose(reply["predictions"], expected)
    encoded = base64.b64encode(IMAGES.tobytes()).decode()
    assert np.allclose(
        served.predict_raw({"instances": [{"b64": encoded}]})["predictions"], expected
    )


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"inputs": []}, "unsupported"),
        ({"inputs": "x"}, "unsupported"),
        ({"inputs": [{"shape": [1, 28, 28], "datatype": "UINT8", "data": [1]}]}, "bad_shape"),
        ({"inputs": [{"shape": "x", "datatype": "UINT8", "data": [1]}]}, "bad_shape"),
        ({"inputs": [{"datatype": "UINT8", "data": [1] * 784}]}, "bad_shape"),
        ({"inputs": [{"shape": [-1], "datatype": "UINT8", "data": [1] * 784}]}, "bad_shape"),
        ({"inputs": [{"shape": [0, 2**70], "datatype": "UINT8", "data": []}]}, "bad_shape"),
        ({"inputs": [{"shape": [784], "datatype": "INT8", "data": [200] * 784}]}, "bad_value"),
        ({"inputs": [{"shape": [1], "datatype": "BYTES", "data": ["a"]}]}, "bad_value"),
        ({"inputs": [{"shape": [1], "datatype": "UINT8", "data": [0.5]}]}, "bad_value"),
        ({"inputs": [{"shape": [1], "datatype": ["x"], "data": [1]}]}, "bad_value"),
        ({"instances": [{"b64": "???"}]}, "bad_base64"),
        ({"instances": [{"x": [1]}]}, "unsupported"),
        ({"instances": [[1, 2], [3]]}, "ragged"),
        ({"instances": 5}, "bad_shape"),
        ({"data": {"ndarray": [[1, 2], [3]]}}, "bad_shape"),
        ({"data": {"tensor": {"shape": [3], "values": [1]}}}, "bad_shape"),
        ({"data": {"tensor": {}}}, "bad_shape"),
        ({"data": {"tftensor": {}}}, "bad_value"),
        ({"binData": "x"}, "bad_shape"),
        ({"data": None}, "bad_shape"),
    ],
)
def test_a_message_that_is_not_valid_is_refused_with_a_reason(
    message: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadPayload) as refusal:
        KmnistClassifier().predict_raw(message)
    assert refusal.value.reason == reason


def test_predict_raw_does_not_answer_seldons_own_messages() -> None:
    for message in ({"data": {"ndarray": [1]}}, prediction_pb2.SeldonMessage()):
        with pytest.raises(SeldonNotImplementedError):
            KmnistClassifier().predict_raw(message)


def test_seldons_predict_function_returns_names_tags_and_rows() -> None:
    reply = predict(
        KmnistClassifier(), {"data": {"ndarray": IMAGES.tolist()}}, SeldonMetrics(lambda: 1)
    )
    assert reply["data"]["names"] == list(ROMAJI)
    assert np.shape(reply["data"]["ndarray"]) == (5, 10)
    assert len(reply["meta"]["tags"]["label"]) == 5


def test_a_refusal_is_an_exception_that_seldons_server_answers_with_400() -> None:
    assert issubclass(BadPayload, SeldonMicroserviceException)
