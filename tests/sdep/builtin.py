"""Kubernetes' own kinds as a JSON Schema with only the fields of a release."""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path
from typing import Any

_RELEASE = "v1.33.0-local-strict"


@functools.cache
def builtin_schema() -> dict[str, Any]:
    """Returns all definitions of the package kubernetes-validate, below `$defs`.

    The package's own functions need a version of jsonschema that seldon-core does not allow.
    """
    package = importlib.util.find_spec("kubernetes_validate")
    assert package and package.submodule_search_locations, "pip install -r requirements-dev.txt"
    folder = Path(package.submodule_search_locations[0])
    path = folder / "kubernetes-json-schema" / _RELEASE / "_definitions.json"
    schema: dict[str, Any] = json.loads(path.read_text("utf-8"))
    # With the address of the file, the validator would fetch every reference from there.
    del schema["$id"]
    return schema


@functools.cache
def builtin_kinds() -> dict[tuple[str, str], str]:
    """Returns the name of each kind's definition, by apiVersion and kind."""
    names = {}
    for name, definition in builtin_schema()["$defs"].items():
        fields = definition.get("properties", {})
        versions = fields.get("apiVersion", {}).get("enum", [])
        kinds = fields.get("kind", {}).get("enum", [])
        names.update({(version, kind): name for version in versions for kind in kinds})
    return names
