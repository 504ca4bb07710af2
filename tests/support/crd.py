"""Definitions of resources as JSON Schemas that refuse fields which the API server would drop."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.sdep.builtin import builtin_kinds, builtin_schema
from tests.support.manifests import Document

CRD_DIR = os.environ.get("CRD_DIR")

needs_definitions = pytest.mark.skipif(
    not CRD_DIR, reason="CRD_DIR does not name a folder of custom resource definitions"
)

_PROJECTS = ("seldon-core", "strimzi", "kubeflow-training", "prometheus-operator", "keda", "argo")
_WITHOUT_SPEC = ("ConfigMap", "Namespace", "Role", "RoleBinding", "ServiceAccount")
# The API server itself checks the metadata; a definition only requires it.
_OBJECT_META = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"},
        "namespace": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


class Definitions:
    """The custom resource definitions of a folder, and Kubernetes' own kinds.

    Args:
        folder: folder of YAML or JSON files, as each project publishes them; without one only
            Kubernetes' own kinds are defined.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._schemas: dict[tuple[str, str], Document] = {}
        self._validators: dict[tuple[str, str], Draft7Validator] = {}
        for path in sorted(folder.iterdir()) if folder else ():
            # Definitions of other projects in this shared folder are not needed.
            if path.name.startswith(_PROJECTS):
                for definition in yaml.load_all(path.read_text("utf-8"), yaml.CSafeLoader):
                    self._add(definition["spec"])

    def _add(self, spec: Document) -> None:
        for version in spec["versions"]:
            kind = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
            schema = version["schema"]["openAPIV3Schema"]
            whole = {"type": "object", "properties": {}, **schema}
            whole["properties"] = {
                **whole["properties"],
                "apiVersion": {"const": kind[0]},
                "kind": {"const": kind[1]},
                "metadata": _OBJECT_META,
            }
            whole["required"] = sorted({*schema.get("required", ()), "metadata", "spec"})
            self._schemas[kind] = whole

    def errors(self, document: Document) -> list[str]:
        """Returns the errors in a document of a manifest, each with its path."""
        kind = (document.get("apiVersion", ""), document.get("kind", ""))
        if kind not in self._schemas and kind not in builtin_kinds():
            return [f"{' '.join(kind)} is not defined"]
        return [
            f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
            for error in self._validator(kind).iter_errors(document)
        ]

    def _validator(self, kind: tuple[str, str]) -> Draft7Validator:
        if kind not in self._validators:
            own = self._schemas.get(kind)
            self._validators[kind] = Draft7Validator(strict(own) if own else _of_builtin(*kind))
        return self._validators[kind]


@functools.cache
def all_definitions() -> Definitions:
    """Returns the definitions in CRD_DIR, which take seconds to read."""
    return Definitions(Path(str(CRD_DIR)))


def _of_builtin(version: str, kind: str) -> Document:
    required = ["metadata"] if kind in _WITHOUT_SPEC else ["metadata", "spec"]
    whole = {"required": required, "properties": {"metadata": _OBJECT_META}}
    name = builtin_kinds()[version, kind]
    return {**builtin_schema(), "allOf": [{"$ref": f"#/$defs/{name}"}, whole]}


def strict(schema: Document) -> Document:
    """Returns an OpenAPI v3 structural schema as JSON Schema draft 7.

    The API server drops fields that a schema does not name. Here they are errors, because such a
    field is misspelt.
    """
    converted: Document = {}
    for key, value in schema.items():
        if key in ("properties", "patternProperties"):
            converted[key] = {name: strict(each) for name, each in value.items()}
        elif key in ("items", "not", "additionalProperties") and isinstance(value, dict):
            converted[key] = strict(value)
        elif key in ("allOf", "anyOf", "oneOf"):
            # These only restrict the other keywords, and name no new fields.
            converted[key] = value
        elif not key.startswith("x-kubernetes-"):
            converted[key] = value
    if "required" in schema:
        # The API server sets defaults before it checks required fields.
        fields = schema.get("properties", {})
        filled_in = {name for name, each in fields.items() if "default" in each}
        converted["required"] = [name for name in schema["required"] if name not in filled_in]
    return _with_kubernetes_marks(schema, converted)


def _with_kubernetes_marks(schema: Document, converted: Document) -> Document:
    if schema.get("x-kubernetes-int-or-string"):
        converted["type"] = ["integer", "string"]
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields")
    if "properties" in schema and not open_ended:
        converted.setdefault("additionalProperties", False)
    if schema.get("nullable") and isinstance(converted.get("type"), str):
        converted["type"] = [converted["type"], "null"]
    return converted
