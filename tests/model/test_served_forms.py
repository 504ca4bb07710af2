"""Files for TensorFlow Serving and Triton, from small networks with one output and with two."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.environments import ROOT, TRAINING_PYTHON, needs_tensorflow

pytestmark = [*needs_tensorflow, pytest.mark.xdist_group("served forms")]

# Reports the inputs and outputs of each file, the largest difference of its answers from the
# network's for batches of several sizes, and its operations.
PROGRAM = """
import json, sys
from pathlib import Path
import keras, numpy as np, tensorflow as tf
from keras import layers
from model.served_forms import write_saved_model, write_triton_repository

keras.utils.set_random_seed(3)
folder = Path(sys.argv[1])
pixels = keras.Input((28, 28, 1))
features = layers.Conv2D(4, 4, strides=4)(layers.Rescaling(1 / 255)(pixels))
features = layers.ReLU()(layers.BatchNormalization()(features))
features = keras.ops.reshape(features, (-1, 7 * 7 * 4))
probabilities = layers.Dense(10, activation="softmax")(features)
outlier = layers.Dense(1, activation="sigmoid")(features)
networks = {
    "one": {"probabilities": probabilities},
    "two": {"probabilities": probabilities, "outlier": outlier},
}
images = np.random.default_rng(3).integers(0, 256, (7, 28, 28, 1)).astype(np.float32)
found = {}
for name, outputs in networks.items():
    network = keras.Model([pixels], outputs)
    for _ in range(2):  # the second export replaces the first
        write_saved_model(network, folder / "serving" / name)
        write_triton_repository(network, folder / "triton", name)
    wanted = network([images], training=False)
    found[name] = []
    for saved in (folder / "serving" / name / "1", folder / "triton" / name / "1/model.savedmodel"):
        for empty in saved.iterdir():
            if empty.is_dir():
                empty.rmdir()  # object stores have no empty folders
        loaded = tf.saved_model.load(str(saved))
        signature = loaded.signatures["serving_default"]
        worst = 0.0
        for count in (1, 3, 7):
            answers = signature(images=tf.constant(images[:count]))
            assert set(answers) == set(wanted)
            for each, right in wanted.items():
                apart = np.abs(answers[each].numpy() - right.numpy()[:count])
                worst = max(worst, float(apart.max()))
        graph = loaded.graph.as_graph_def()
        inputs = signature.structured_input_signature[1]
        found[name].append({
            "inputs": {each.name: [each.dtype.name, *each.shape[1:]] for each in inputs.values()},
            "outputs": {
                each: [tensor.dtype.name, *tensor.shape[1:]]
                for each, tensor in signature.structured_outputs.items()
            },
            "worst": worst,
            "operations": sorted({node.op for node in graph.node}),
            "functions": len(graph.library.function),
        })
(folder / "found.json").write_text(json.dumps(found))
"""

TENSORS = {
    "one": {"probabilities": ["float32", 10]},
    "two": {"probabilities": ["float32", 10], "outlier": ["float32", 1]},
}
# All of these are in TensorFlow 1.15, the oldest version in the servers of Seldon Core 1.17.1.
OLD = {
    *("AddV2", "BiasAdd", "Const", "Conv2D", "Identity", "MatMul", "Mul", "NoOp", "Placeholder"),
    *("Relu", "Reshape", "Rsqrt", "Sigmoid", "Softmax", "Squeeze", "Sub"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("served")
    ran = subprocess.run(
        [TRAINING_PYTHON, "-c", PROGRAM, str(made)],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return made


@pytest.fixture(params=TENSORS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def files(folder: Path, name: str) -> list[dict[str, Any]]:
    """The reports about the files for TensorFlow Serving and for Triton."""
    found: list[dict[str, Any]] = json.loads((folder / "found.json").read_text())[name]
    return found


def test_both_files_answer_like_the_network_for_any_batch_size(
    files: list[dict[str, Any]],
) -> None:
    assert [each["worst"] < 1e-6 for each in files] == [True, True]


def test_both_files_declare_the_images_and_each_output(
    files: list[dict[str, Any]], name: str
) -> None:
    for each in files:
        assert each["inputs"] == {"images": ["float32", 28, 28, 1]}
        assert each["outputs"] == TENSORS[name]


def test_the_servers_of_seldon_support_every_operation_of_a_file(
    files: list[dict[str, Any]],
) -> None:
    for each in files:
        assert set(each["operations"]) <= OLD
        assert each["functions"] == 0


def test_the_config_for_triton_declares_the_same_tensors(folder: Path, name: str) -> None:
    model_config_pb2 = pytest.importorskip("tritonclient.grpc.model_config_pb2")
    text_format = pytest.importorskip("google.protobuf.text_format")
    text = (folder / "triton" / name / "config.pbtxt").read_text("utf-8")
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert config.name == name
    assert config.platform == "tensorflow_savedmodel"
    assert config.max_batch_size > 1
    assert config.HasField("dynamic_batching")
    (images,) = config.input
    assert (images.name, list(images.dims)) == ("images", [28, 28, 1])
    outputs = {each.name: ["float32", *each.dims] for each in config.output}
    assert outputs == TENSORS[name]
    assert {each.data_type for each in [images, *config.output]} == {model_config_pb2.TYPE_FP32}
