"""The graph, the explainer and the alerts name what is in the code."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest
from prometheus_client import REGISTRY

from tests.sdep.manifests import Document, deployment, documents, environ, of_kind
from wrapper import watch

# What Seldon's server calls for a node of each type.
METHODS = {"TRANSFORMER": "transform_input_raw", "MODEL": "predict"}


def predictor(file: str) -> Document:
    (deployment,) = documents(file)
    (found,) = deployment["spec"]["predictors"]
    return dict(found)


def nodes(graph: Document) -> dict[str, str]:
    """The type of each node by its name."""
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


def test_every_alert_asks_for_metrics_that_workers_have() -> None:
    (rules,) = of_kind(documents("alerts.yaml"), "PrometheusRule")
    asked = [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    named = {name for expression in asked for name in re.findall(r"model_\w+", expression)}
    # A metric with labels shows nothing before the first is named.
    watch.IMAGES.labels("o")
    watch.DRIFT.labels("ink")
    known = {sample.name for family in REGISTRY.collect() for sample in family.samples}
    assert len(named) == 4
    assert named <= known


def test_prometheus_reads_the_supervisors_port_of_the_native_replicas() -> None:
    (monitor,) = of_kind(documents("alerts.yaml"), "PodMonitor")
    native = deployment("native")
    labels = monitor["spec"]["selector"]["matchLabels"]
    assert labels == {"seldon-deployment-id": native["metadata"]["name"]}
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    (component,) = native["spec"]["predictors"][0]["componentSpecs"]
    ports = [port["name"] for port in component["spec"]["containers"][0]["ports"]]
    assert endpoint["port"] in ports
