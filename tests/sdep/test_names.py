"""The names in the graph, the explainer and the monitoring match the code and the pods."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests.support.manifests import Document, deployment, documents, environ, of_kind, overlay
from tests.support.manifests import predictor as predictor_of

# The method that Seldon's server calls, by type of the node.
METHODS = {"TRANSFORMER": "transform_input_raw", "MODEL": "predict"}


def predictor(file: str) -> Document:
    (deployment,) = documents(file)
    (found,) = deployment["spec"]["predictors"]
    return dict(found)


def nodes(graph: Document) -> dict[str, str]:
    """Returns the type of each node, by name."""
    found = {graph["name"]: graph["type"]}
    for child in graph.get("children", []):
        found |= nodes(child)
    return found


def environments(file: str) -> dict[str, dict[str, str]]:
    (component,) = predictor(file)["componentSpecs"]
    return {each["name"]: environ(each, []) for each in component["spec"]["containers"]}


@pytest.mark.parametrize("file", ["servers/graph.yaml", "servers/explainer.yaml"])
def test_each_node_has_a_container_with_a_class_for_its_type(file: str) -> None:
    found = environments(file)
    types = nodes(predictor(file)["graph"])
    assert set(found) == set(types)
    for name, variables in found.items():
        module, _, class_name = variables["MODEL_NAME"].rpartition(".")
        served: Any = getattr(importlib.import_module(module), class_name)
        assert callable(getattr(served, METHODS[types[name]]))


def test_containers_of_one_pod_listen_on_different_ports() -> None:
    ports = [
        variables["KAFKA_HTTP_PORT"] for variables in environments("servers/graph.yaml").values()
    ]
    assert len(set(ports)) == len(ports) == 2


def test_the_pod_monitor_names_ports_and_labels_of_the_pods() -> None:
    name = "native-keda-lag-monitored"
    (monitor,) = of_kind(overlay(name), "PodMonitor")
    found = predictor_of(deployment(name))
    assert monitor["spec"]["selector"]["matchLabels"].items() <= found["labels"].items()
    supervisor_port, seldon_port = (each["port"] for each in monitor["spec"]["podMetricsEndpoints"])
    (component,) = found["componentSpecs"]
    assert supervisor_port in [port["name"] for port in component["spec"]["containers"][0]["ports"]]
    # The operator adds this port (docs/kubernetes.md).
    assert seldon_port == "metrics"
