"""The manifests of Seldon's prepackaged servers match the exports of `model.served_forms`."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from tests.support.manifests import FOLDER, ROOT, Document, documents

SERVERS = {"servers/tensorflow.yaml": "TENSORFLOW_SERVER", "servers/triton.yaml": "TRITON_SERVER"}


def predictor(file: str) -> Document:
    (deployment,) = documents(file)
    (found,) = deployment["spec"]["predictors"]
    return dict(found)


def constant(name: str) -> Any:
    """Returns a constant of `model.served_forms`, whose import needs TensorFlow."""
    tree = ast.parse((ROOT / "model" / "served_forms.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    raise LookupError(name)


@pytest.mark.parametrize("file", SERVERS)
def test_the_container_of_a_server_has_only_fields_that_the_operator_does_not_set(
    file: str,
) -> None:
    graph = predictor(file)["graph"]
    assert graph["implementation"] == SERVERS[file]
    (component,) = predictor(file)["componentSpecs"]
    (container,) = component["spec"]["containers"]
    assert container["name"] == graph["name"]
    assert not {"image", "args", "ports"} & set(container)


@pytest.mark.parametrize("file", SERVERS)
def test_the_model_is_fetched_with_the_secret_from_the_readme(file: str) -> None:
    graph = predictor(file)["graph"]
    assert graph["modelUri"].startswith("s3://")
    text = (FOLDER / "README.md").read_text("utf-8")
    assert f"generic {graph['envSecretRefName']} " in text
    assert graph["modelUri"].removeprefix("s3://") in text


def test_the_protocol_of_each_server_supports_all_outputs() -> None:
    protocols = {file: documents(file)[0]["spec"]["protocol"] for file in SERVERS}
    assert protocols == {"servers/tensorflow.yaml": "tensorflow", "servers/triton.yaml": "v2"}


def test_the_parameters_of_the_proxy_name_the_exported_tensors() -> None:
    graph = predictor("servers/tensorflow.yaml")["graph"]
    assert {each["name"]: each["value"] for each in graph["parameters"]} == {
        "signature_name": "serving_default",
        "model_name": graph["name"],
        "model_input": constant("INPUT"),
        "model_output": constant("OUTPUTS")[0],
    }
