"""Seldon's prepackaged servers are asked for what `model.served_forms` writes."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from tests.sdep.manifests import FOLDER, ROOT, Document, documents

SERVERS = {"servers/tensorflow.yaml": "TENSORFLOW_SERVER", "servers/triton.yaml": "TRITON_SERVER"}


def predictor(file: str) -> Document:
    (deployment,) = documents(file)
    (found,) = deployment["spec"]["predictors"]
    return dict(found)


def constant(name: str) -> Any:
    """A constant of `model.served_forms`, which can be imported where TensorFlow is only."""
    tree = ast.parse((ROOT / "model" / "served_forms.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    raise LookupError(name)


@pytest.mark.parametrize("file", SERVERS)
def test_the_operator_fills_in_the_server_whose_needs_are_named(file: str) -> None:
    graph = predictor(file)["graph"]
    assert graph["implementation"] == SERVERS[file]
    (component,) = predictor(file)["componentSpecs"]
    (container,) = component["spec"]["containers"]
    assert container["name"] == graph["name"]
    assert not {"image", "args", "ports"} & set(container)


@pytest.mark.parametrize("file", SERVERS)
def test_the_model_is_fetched_with_the_secret_that_the_readme_makes(file: str) -> None:
    graph = predictor(file)["graph"]
    assert graph["modelUri"].startswith("s3://")
    text = (FOLDER / "README.md").read_text("utf-8")
    assert f"generic {graph['envSecretRefName']} " in text
    assert graph["modelUri"].removeprefix("s3://") in text


def test_each_server_speaks_a_protocol_that_carries_all_outputs() -> None:
    protocols = {file: documents(file)[0]["spec"]["protocol"] for file in SERVERS}
    assert protocols == {"servers/tensorflow.yaml": "tensorflow", "servers/triton.yaml": "v2"}


def test_the_proxys_parameters_name_the_tensors_that_are_written() -> None:
    graph = predictor("servers/tensorflow.yaml")["graph"]
    assert {each["name"]: each["value"] for each in graph["parameters"]} == {
        "signature_name": "serving_default",
        "model_name": graph["name"],
        "model_input": constant("INPUT"),
        "model_output": constant("OUTPUTS")[0],
    }
