"""Adapts the overlays of `sdep/` to this machine's two cores and its broker."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.rig import ROOT

IMAGE = "registry.example.com/kmnist"
_SPEC = "/spec/predictors/0/componentSpecs/0"


@dataclass(frozen=True)
class Variant:
    """One of the two runtimes, with a namespace and topics of its own.

    Attributes:
        name: `native` or `executor`.
        deployment: name of the SeldonDeployment.
        namespace: name of the namespace.
        environ: `KAFKA_*` variables of its topics, and of its consumer group if it can be set.
        group: the consumer group whose lag KEDA reads.
        client: librdkafka properties of the tests' own clients.
    """

    name: str
    deployment: str
    namespace: str
    environ: dict[str, str]
    group: str
    client: dict[str, Any]

    @property
    def input_topic(self) -> str:
        """Topic of the requests."""
        return self.environ["KAFKA_INPUT_TOPIC"]

    @property
    def output_topic(self) -> str:
        """Topic of the replies."""
        return self.environ["KAFKA_OUTPUT_TOPIC"]


def variant(name: str, broker: str) -> Variant:
    """Returns the runtime with this name, on the rig's broker."""
    environ = {
        "KAFKA_BROKER": broker,
        "KAFKA_INPUT_TOPIC": f"{name}_input",
        "KAFKA_OUTPUT_TOPIC": f"{name}_output",
    }
    space = f"by-{name}"
    client = {"bootstrap.servers": broker}
    if name == "executor":
        group = f"default.kmnist-executor.{space}"
        return Variant(name, "kmnist-executor", space, environ, group, client)
    environ["KAFKA_DEAD_LETTER_TOPIC"] = f"{name}_input.dead"
    return Variant(name, "kmnist", space, environ, "kmnist", client)


@dataclass
class Overlay:
    """An overlay on top of a project's one, with another namespace, other topics, another image.

    Attributes:
        name: name of the project's overlay.
        variant: the runtime, with its namespace and topics.
        tag: tag of the image.
        patches: further JSON patches of the SeldonDeployment.
    """

    name: str
    variant: Variant
    tag: str = "0.1"
    patches: list[dict[str, Any]] = field(default_factory=list)

    def write(self, folder: Path) -> Path:
        """Writes the overlay, and returns its folder."""
        target = folder / f"{self.name}-{self.tag}"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        # kustomize needs a relative path.
        base = os.path.relpath(ROOT / "sdep" / "overlays" / self.name, target.resolve())
        patches = [*self._for_two_cores(), *self._for_its_topics(), *self.patches]
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": self.variant.namespace,
            "resources": [base],
            "images": [{"name": IMAGE, "newTag": self.tag}],
            "configMapGenerator": [
                {
                    "name": "kmnist-stream",
                    "behavior": "merge",
                    "literals": [f"{key}={value}" for key, value in self.variant.environ.items()],
                }
            ],
            "patches": [{"target": {"kind": "SeldonDeployment"}, "patch": yaml.safe_dump(patches)}],
        }
        (target / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), "utf-8")
        return target

    def _for_two_cores(self) -> list[dict[str, Any]]:
        container = f"{_SPEC}/spec/containers/0/resources/requests/cpu"
        found = [{"op": "replace", "path": container, "value": "100m"}]
        if self.variant.name == "executor":
            engine = "/spec/predictors/0/svcOrchSpec/resources/requests/cpu"
            found.append({"op": "replace", "path": engine, "value": "50m"})
        return found

    def _for_its_topics(self) -> list[dict[str, Any]]:
        if self.name != "executor-keda-lag":
            return []
        metadata = f"{_SPEC}/kedaSpec/triggers/0/metadata"
        values = {
            "bootstrapServers": self.variant.environ["KAFKA_BROKER"],
            "topic": self.variant.input_topic,
            "consumerGroup": self.variant.group,
        }
        return [
            {"op": "replace", "path": f"{metadata}/{key}", "value": value}
            for key, value in values.items()
        ]


def replicas(count: int) -> dict[str, Any]:
    """Returns a patch of the number of pods."""
    return {"op": "replace", "path": "/spec/predictors/0/replicas", "value": count}


def keda(path: str, value: Any) -> dict[str, Any]:
    """Returns a patch of the autoscaler by lag, whose default times are too long for tests."""
    return {"op": "replace", "path": f"{_SPEC}/kedaSpec/{path}", "value": value}


def hpa(path: str, value: Any) -> dict[str, Any]:
    """Returns a patch of the autoscaler by processor time."""
    return {"op": "replace", "path": f"{_SPEC}/hpaSpec/{path}", "value": value}
