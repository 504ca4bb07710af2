"""The detector and the explainer behind a real `seldon-core-microservice`: REST and gRPC."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import json_format
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc

from model.explanation import occlusion
from model.labels import ROMAJI
from model.loader import load_classifier
from producer.bundled_samples import load_samples
from tests.support.environments import ROOT, TRAINING_PYTHON, with_tensorflow
from tests.support.patience import patient
from tests.wrapper.conftest import Served, over_grpc, rest, serving
from wrapper import KmnistClassifier, KmnistOutlierDetector

SAMPLES = load_samples().images
PICTURES = np.stack([SAMPLES[0], 255 - SAMPLES[0], SAMPLES[1]])

# A network without outlier scores, as older artefacts have it.
OLD_NETWORK = """
import sys
from pathlib import Path
import keras, tensorflow as tf
from model.artefacts import write_artefact
pixels = keras.Input((28, 28, 1))
flat = keras.ops.reshape(pixels, (-1, 784))
network = keras.Model(pixels, keras.layers.Dense(10, activation="softmax")(flat))
network.export(sys.argv[1] + "/saved", verbose=False)
content = tf.lite.TFLiteConverter.from_saved_model(sys.argv[1] + "/saved").convert()
write_artefact(
    Path(sys.argv[1]), "m.tflite", content, variant="old", abstain_below=0.5, made_by={}
)
"""


def tensor(images: Any) -> dict[str, Any]:
    return {"shape": list(images.shape), "values": images.ravel().tolist()}


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("detector") / "server.log"
    with serving(
        "wrapper.KmnistOutlierDetector", log, MODEL_VARIANT="fast", MODEL_URI=""
    ) as served:
        yield served


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("explainer") / "server.log"
    with serving("wrapper.KmnistExplainer", log) as served:
        yield served


@pytest.fixture
def flags(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Returns the classifier's own tags for the pictures."""
    monkeypatch.setenv("MODEL_VARIANT", "fast")
    tags = KmnistClassifier().predict(PICTURES).tags
    assert tags["outlier"][1]
    return {name: tags[name] for name in ("outlier", "outlier_score")}


@pytest.mark.parametrize(
    "payload",
    [
        {"data": {"names": ["a"], "ndarray": PICTURES.tolist()}},
        {"data": {"tensor": tensor(PICTURES)}},
        {"binData": base64.b64encode(PICTURES.tobytes()).decode()},
        {"jsonData": PICTURES.tolist()},
    ],
    ids=["ndarray", "tensor", "binData", "jsonData"],
)
def test_the_detector_adds_two_tags_and_nothing_else_to_a_message(
    detector: Served, flags: dict[str, Any], payload: dict[str, Any]
) -> None:
    meta = {"puid": "p", "tags": {"mine": 1}}
    status, passed = rest(detector, {**payload, "meta": meta}, "/transform-input")
    assert status == 200
    found = passed["meta"].pop("tags")
    assert passed == {**payload, "meta": {"puid": "p"}}
    assert found.pop("mine") == 1
    assert found["outlier"] == flags["outlier"]
    assert found["outlier_score"] == pytest.approx(flags["outlier_score"], abs=1e-5)


def test_the_detector_adds_the_same_tags_over_grpc(detector: Served, flags: dict[str, Any]) -> None:
    message = prediction_pb2.SeldonMessage()
    json_format.ParseDict({"data": {"tensor": tensor(PICTURES)}, "meta": {"puid": "p"}}, message)
    with grpc.insecure_channel(f"127.0.0.1:{detector.grpc}") as channel:
        stub = prediction_pb2_grpc.TransformerStub(channel)
        passed = stub.TransformInput(message, timeout=patient(20))
    assert passed.data == message.data
    tags = json_format.MessageToDict(passed.meta)["tags"]
    assert tags["outlier"] == flags["outlier"]
    assert tags["outlier_score"] == pytest.approx(flags["outlier_score"], abs=1e-5)


def test_the_reply_of_any_model_behind_the_detector_has_its_tags(
    detector: Served, flags: dict[str, Any], tmp_path: Path
) -> None:
    _, passed = rest(detector, {"data": {"ndarray": PICTURES.tolist()}}, "/transform-input")
    with serving("tests.support.classes.Double", tmp_path / "server.log") as model:
        status, reply = rest(model, passed)
    assert status == 200
    assert reply["meta"]["tags"]["outlier"] == flags["outlier"]


@pytest.mark.parametrize(
    "message",
    [
        {"data": {"ndarray": [[0] * 756]}},
        {"data": {"ndarray": [[1, 2], [3]]}},
        {"data": {"tftensor": {}}},
        {},
    ],
)
def test_a_payload_that_is_not_valid_gets_status_400_from_both(
    detector: Served, explainer: Served, message: Any
) -> None:
    assert rest(detector, message, "/transform-input")[0] == 400
    assert rest(explainer, message)[0] == 400


@with_tensorflow
def test_a_model_without_outlier_scores_is_refused_by_the_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    ran = subprocess.run(
        [TRAINING_PYTHON, "-c", OLD_NETWORK, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    monkeypatch.setenv("MODEL_URI", str(tmp_path))
    with pytest.raises(SystemExit):
        KmnistOutlierDetector().load()
    output = capsys.readouterr().err
    assert re.match(r"error: kmnist-old-\w+ does not detect outliers: choose another", output)


@pytest.mark.parametrize("meta", [{"tags": [1]}, {"tags": "x"}])
def test_tags_that_are_not_an_object_get_status_400_from_both(
    detector: Served, explainer: Served, meta: Any
) -> None:
    message = {"data": {"ndarray": SAMPLES[:1].tolist()}, "meta": meta}
    assert rest(detector, message, "/transform-input")[0] == 400
    assert rest(explainer, message)[0] == 400


@pytest.mark.parametrize("meta", [None, {}, {"tags": None}])
def test_meta_without_tags_is_accepted(detector: Served, meta: Any) -> None:
    message = {"data": {"ndarray": SAMPLES[:1].tolist()}, "meta": meta}
    status, reply = rest(detector, message, "/transform-input")
    assert status == 200
    assert set(reply["meta"]["tags"]) == {"outlier", "outlier_score"}


def test_the_explainer_answers_with_a_heat_map_for_each_image(explainer: Served) -> None:
    status, reply = rest(explainer, {"data": {"ndarray": SAMPLES[:2].tolist()}})
    assert status == 200
    model = load_classifier()
    expected = [occlusion(model.probabilities, image) for image in SAMPLES[:2]]
    assert np.allclose(reply["data"]["ndarray"], expected, atol=1e-3)
    assert reply["data"]["names"] == []
    tags = reply["meta"]["tags"]
    assert tags["explained"] == tags["label"]
    assert {"confidence", "abstain", "model"} <= set(tags)


def test_the_explainer_explains_the_class_that_a_tag_names(explainer: Served) -> None:
    message: dict[str, Any] = {
        "data": {"tensor": tensor(SAMPLES[:1])},
        "meta": {"tags": {"explain": "ki"}},
    }
    _, reply = rest(explainer, message)
    expected = occlusion(load_classifier().probabilities, SAMPLES[0], ROMAJI.index("ki"))
    assert reply["data"]["tensor"]["shape"] == [1, 28, 28]
    assert reply["data"]["tensor"]["values"] == pytest.approx(expected.ravel(), abs=1e-3)
    assert reply["meta"]["tags"]["explained"] == ["き"]
    request = json_format.ParseDict(message, prediction_pb2.SeldonMessage())
    grpc_reply = over_grpc(explainer, request).data.tensor
    assert list(grpc_reply.values) == pytest.approx(reply["data"]["tensor"]["values"])


def test_the_explainer_refuses_unknown_classes_and_too_many_images(explainer: Served) -> None:
    images = {"data": {"ndarray": SAMPLES[:1].tolist()}}
    status, reply = rest(explainer, {**images, "meta": {"tags": {"explain": "x"}}})
    assert status == 400
    assert "no class is called 'x'" in reply["status"]["info"]
    status, reply = rest(explainer, {"data": {"ndarray": SAMPLES[:65].tolist()}})
    assert status == 400
    assert "at most 64 images" in reply["status"]["info"]
