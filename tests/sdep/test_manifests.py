"""Manifests match the definitions of their kinds, and list the values to change."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support.crd import Definitions, all_definitions, needs_definitions
from tests.support.manifests import (
    COMPONENTS,
    FILES,
    FOLDER,
    OVERLAYS,
    Document,
    containers,
    documents,
    is_defined,
    of_kind,
    overlay,
    pods,
)

ENTRIES = [*(f"overlays/{name}" for name in OVERLAYS), *FILES]
# Seldon's operator creates the executor's container, which is not `restricted`.
BASELINE = {name for name in OVERLAYS if name.startswith("executor")}


def of_entry(name: str) -> list[Document]:
    """Returns the documents of an overlay or a file."""
    folder, _, overlay_name = name.partition("/")
    return overlay(overlay_name) if folder == "overlays" else documents(name)


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return all_definitions()


@needs_definitions
@pytest.mark.parametrize("name", ENTRIES)
def test_every_document_matches_its_definition(definitions: Definitions, name: str) -> None:
    for document in of_entry(name):
        if is_defined(document):
            assert definitions.errors(document) == []


def _misspell(document: Document, path: tuple[str | int, ...], wrong: str) -> None:
    node: Any = document
    for step in path[:-1]:
        node = node[step]
    node[wrong] = node.pop(path[-1])


_COMPONENT = ("spec", "predictors", 0, "componentSpecs", 0)
_POD = (*_COMPONENT, "spec")
_CONTAINER = (*_POD, "containers", 0)
_GRAPH = ("spec", "predictors", 0, "graph")
_TEMPLATE = ("spec", "template", "spec")
_STEP = ("spec", "templates", 1)
_TRIGGER = (*_COMPONENT, "kedaSpec", "triggers", 0)


@needs_definitions
@pytest.mark.parametrize(
    ("name", "kind", "path", "wrong"),
    [
        ("overlays/native", "SeldonDeployment", ("spec", "predictors"), "predictor"),
        ("overlays/native", "SeldonDeployment", ("spec", "predictors", 0, "replicas"), "replica"),
        ("overlays/native", "SeldonDeployment", ("metadata", "labels"), "label"),
        ("overlays/native", "SeldonDeployment", (*_POD, "enableServiceLinks"), "serviceLinks"),
        ("overlays/native", "SeldonDeployment", (*_COMPONENT, "pdbSpec"), "pdb"),
        ("overlays/native", "SeldonDeployment", (*_CONTAINER, "envFrom"), "environment"),
        ("overlays/native", "SeldonDeployment", (*_CONTAINER, "livenessProbe", "httpGet"), "get"),
        ("overlays/native", "ConfigMap", ("data",), "values"),
        ("overlays/native-hpa", "SeldonDeployment", (*_COMPONENT, "hpaSpec"), "hpa"),
        ("overlays/native-keda-lag", "SeldonDeployment", (*_TRIGGER, "type"), "kind"),
        ("overlays/executor", "SeldonDeployment", ("spec", "serverType"), "servertype"),
        ("overlays/kafka", "KafkaTopic", ("spec", "partitions"), "partition"),
        ("overlays/kafka", "Kafka", ("spec", "kafka", "listeners", 0, "tls"), "tsl"),
        ("overlays/kafka-sasl-ssl", "KafkaUser", ("spec", "authorization"), "rights"),
        ("servers/tensorflow.yaml", "SeldonDeployment", (*_GRAPH, "envSecretRefName"), "secret"),
        ("servers/triton.yaml", "SeldonDeployment", (*_GRAPH, "modelUri"), "modelURI"),
        ("servers/graph.yaml", "SeldonDeployment", (*_GRAPH, "children"), "child"),
        ("servers/explainer.yaml", "SeldonDeployment", (*_CONTAINER, "image"), "images"),
        ("training/train.yaml", "PersistentVolumeClaim", ("spec", "accessModes"), "accessMode"),
        ("training/tensorboard.yaml", "Deployment", ("spec", "selector", "matchLabels"), "labels"),
        ("training/build.yaml", "Job", ("spec", "backoffLimit"), "backofLimit"),
        ("batch/run.yaml", "Workflow", ("spec", "workflowTemplateRef"), "templateRef"),
        ("batch/workflow.yaml", "WorkflowTemplate", ("spec", "podSpecPatch"), "podPatch"),
        ("batch/workflow.yaml", "WorkflowTemplate", (*_STEP, "retryStrategy", "limit"), "limits"),
        ("batch/workflow.yaml", "WorkflowTemplate", (*_STEP, "container", "args"), "arguments"),
        ("training/build.yaml", "Job", (*_TEMPLATE, "volumes", 0, "secret", "secretName"), "name"),
    ],
)
def test_a_misspelt_field_is_an_error(
    definitions: Definitions, name: str, kind: str, path: tuple[str | int, ...], wrong: str
) -> None:
    document = copy.deepcopy(of_kind(of_entry(name), kind)[0])
    _misspell(document, path, wrong)
    assert definitions.errors(document)


@needs_definitions
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "predictors", 0, "replicas"), "two"),
        ((*_CONTAINER, "env", 0, "value"), 9092),
        ((*_CONTAINER, "resources", "limits", "memory"), "1 GB"),
        ((*_CONTAINER, "readinessProbe", "httpGet", "port"), 80.5),
        (("apiVersion",), "machinelearning.seldon.io/v9"),
    ],
)
def test_a_value_of_the_wrong_type_is_an_error(
    definitions: Definitions, path: tuple[str | int, ...], value: Any
) -> None:
    document = copy.deepcopy(of_kind(overlay("native"), "SeldonDeployment")[0])
    node: Any = document
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    assert definitions.errors(document)


@pytest.mark.parametrize("name", ENTRIES)
def test_all_containers_run_without_root_and_rights_and_with_resource_requests(name: str) -> None:
    for pod in pods(of_entry(name)):
        assert pod["enableServiceLinks"] is False
        whole = pod.get("securityContext", {})
        for each in containers(pod):
            rights = {**whole, **each["securityContext"]}
            assert rights["runAsNonRoot"] is True
            assert rights["capabilities"]["drop"] == ["ALL"]
            assert rights.get("allowPrivilegeEscalation") is False or name.endswith("build.yaml")
            assert set(each["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in each["resources"]["limits"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_namespace_of_an_overlay_has_the_strictest_possible_level(name: str) -> None:
    found = overlay(name)
    (space,) = of_kind(found, "Namespace")
    strictness = space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert strictness == ("baseline" if name in BASELINE else "restricted")
    assert {
        document["metadata"].get("namespace", space["metadata"]["name"]) for document in found
    } == {space["metadata"]["name"]}
    for pod in pods(found):
        for each in containers(pod):
            rights = {**pod["securityContext"], **each["securityContext"]}
            assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
            assert rights["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize(
    "path",
    [
        *FILES,
        *(f"overlays/{name}/kustomization.yaml" for name in OVERLAYS),
        *(f"components/{name}/kustomization.yaml" for name in COMPONENTS),
    ],
)
def test_every_entry_begins_with_a_comment_and_most_list_values_to_change(path: str) -> None:
    text = (FOLDER / path).read_text("utf-8")
    head = text.split("apiVersion:", 1)[0]
    assert head.strip()
    assert all(line.startswith("#") for line in head.splitlines())
    assert "To change:" in head or path.startswith("components/")


def test_every_component_is_part_of_an_overlay() -> None:
    texts = [path.read_text("utf-8") for path in FOLDER.glob("*/*/kustomization.yaml")]
    for name in COMPONENTS:
        used = [text for text in texts if f"/{name}\n" in text]
        assert used, f"components/{name} is in no overlay"
