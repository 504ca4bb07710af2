"""The folder of manifests, read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "sdep"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))


def documents(file: str) -> list[Document]:
    """All documents of a manifest, in their order."""
    return list(yaml.safe_load_all((FOLDER / file).read_text("utf-8")))


def of_kind(file: str, kind: str) -> list[Document]:
    """The documents of a manifest that are of one kind."""
    return [document for document in documents(file) if document["kind"] == kind]


def pods(file: str) -> list[Document]:
    """The specifications of all pods that a manifest's documents lead to."""
    return [pod for document in documents(file) for pod in _pods(document["spec"])]


def _pods(spec: Document) -> list[Document]:
    if "predictors" in spec:
        components = [each for one in spec["predictors"] for each in one["componentSpecs"]]
        return [component["spec"] for component in components]
    if "tfReplicaSpecs" in spec:
        return [replica["template"]["spec"] for replica in spec["tfReplicaSpecs"].values()]
    return [spec["template"]["spec"]] if "template" in spec else []


def containers(pod: Document) -> list[Document]:
    """All containers of a pod, those that run first among them."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def environ(variables: list[Document]) -> dict[str, str]:
    """What a process would find; a field of the pod stands for itself."""
    found = {}
    for variable in variables:
        source = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        found[variable["name"]] = variable["value"] if "value" in variable else str(source)
    return found
