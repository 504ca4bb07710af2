"""Reads the manifests: plain files, and overlays as kustomize builds them."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from seldon_kafka.topics.wanted import Topic
from tests.support.patience import patient

Document = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "sdep"


def _is_applied_as_it_is(path: Path) -> bool:
    """Returns whether a file is a manifest that no kustomization in its folder includes."""
    kustomization = path.with_name("kustomization.yaml")
    if path == kustomization or path.parent.name == "kind":
        return False
    text = kustomization.read_text("utf-8") if kustomization.exists() else "{}"
    found = yaml.load(text, yaml.CSafeLoader)
    patches = [each.get("path") for each in found.get("patches", [])]
    return path.name not in [
        *found.get("resources", []),
        *found.get("configurations", []),
        *patches,
    ]


FILES = [
    path.relative_to(FOLDER).as_posix()
    for path in sorted(FOLDER.rglob("*.yaml"))
    if _is_applied_as_it_is(path)
]
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir() if path.is_dir())
# The definitions of Istio, and of Strimzi's Kafka Connect, are not available.
_UNDEFINED = ("networking.istio.io/v1", "KafkaConnector")
COMPONENTS = sorted(path.name for path in (FOLDER / "components").iterdir() if path.is_dir())


def documents(file: str) -> list[Document]:
    """Returns all documents of a file, in their order."""
    return list(yaml.load_all((FOLDER / file).read_text("utf-8"), yaml.CSafeLoader))


@functools.cache
def _built(name: str) -> str:
    ran = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER / "overlays" / name)],
        capture_output=True,
        text=True,
        timeout=patient(60),
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def overlay(name: str) -> list[Document]:
    """Returns all documents of an overlay; without kubectl the test is skipped."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which contains kustomize, is not installed")
    return list(yaml.load_all(_built(name), yaml.CSafeLoader))


def is_defined(document: Document) -> bool:
    """Returns whether the definition of its kind is available."""
    return not {document["apiVersion"], document["kind"]} & set(_UNDEFINED)


def topics_of(found: list[Document]) -> list[Topic]:
    """Returns the topics that Strimzi's operator creates from KafkaTopics, sorted by name."""
    specs = [document["spec"] for document in of_kind(found, "KafkaTopic")]
    return sorted(
        (
            Topic(each["topicName"], each["partitions"], each["replicas"], each["config"])
            for each in specs
        ),
        key=lambda topic: topic.name,
    )


def of_kind(found: list[Document], kind: str) -> list[Document]:
    """Returns the documents of one kind."""
    return [document for document in found if document["kind"] == kind]


def deployment(name: str) -> Document:
    """Returns the SeldonDeployment of an overlay."""
    (found,) = of_kind(overlay(name), "SeldonDeployment")
    return found


def predictor(found: Document, name: str = "default") -> Document:
    """Returns a predictor of a SeldonDeployment."""
    (only,) = [each for each in found["spec"]["predictors"] if each["name"] == name]
    return dict(only)


def component(found: Document, name: str = "default") -> Document:
    """Returns the only component of a SeldonDeployment's predictor."""
    (only,) = predictor(found, name)["componentSpecs"]
    return dict(only)


def pods(found: list[Document]) -> list[Document]:
    """Returns the specifications of all pods of the documents."""
    return [pod for document in found for pod in _pods(document.get("spec", {}))]


def _pods(spec: Document) -> list[Document]:
    if "predictors" in spec:
        components = [each for one in spec["predictors"] for each in one["componentSpecs"]]
        return [each["spec"] for each in components]
    if "tfReplicaSpecs" in spec:
        return [replica["template"]["spec"] for replica in spec["tfReplicaSpecs"].values()]
    if "templates" in spec:
        return [_of_workflow(spec, each) for each in spec["templates"] if "container" in each]
    pod = spec.get("template", {}).get("spec", {})
    return [pod] if "containers" in pod else []


def _of_workflow(spec: Document, template: Document) -> Document:
    """Returns the pod that Argo creates from a template, without Argo's own containers."""
    fields = ("securityContext", "serviceAccountName", "volumes")
    pod = {name: spec[name] for name in fields if name in spec}
    patch = yaml.safe_load(spec.get("podSpecPatch", "{}"))
    return {**pod, **patch, "containers": [template["container"]]}


def containers(pod: Document) -> list[Document]:
    """Returns all containers of a pod, init containers included."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def environ(container: Document, others: list[Document]) -> dict[str, str]:
    """Returns the environment variables of a process.

    A value from a field of the pod or from a Secret is the name of that field or key.

    Args:
        container: a container with `env` and `envFrom`.
        others: the documents with the ConfigMaps.
    """
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(others, "ConfigMap")}
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= maps[source["configMapRef"]["name"]]
    for variable in container.get("env", []):
        found[variable["name"]] = _value(variable, maps)
    return found


def _value(variable: Document, maps: dict[str, Document]) -> str:
    if "value" in variable:
        return str(variable["value"])
    source = variable["valueFrom"]
    if "configMapKeyRef" in source:
        return str(maps[source["configMapKeyRef"]["name"]][source["configMapKeyRef"]["key"]])
    if "secretKeyRef" in source:
        return f"{source['secretKeyRef']['name']}/{source['secretKeyRef']['key']}"
    return str(source["fieldRef"]["fieldPath"])
