"""A namespace of the rig with one of the runtimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sdep.waiting import is_ready
from tests.kubernetes.overlays import Overlay, Variant
from tests.kubernetes.rig import Rig
from tests.support.stream import wait_until

_READY_S = 120.0
_GONE_S = 90.0


class StreamNamespace:
    """Deploys overlays, and returns the state of their pods.

    Args:
        rig: the cluster.
        variant: the runtime, with the name of the namespace.
        folder: folder for overlays.
    """

    def __init__(self, rig: Rig, variant: Variant, folder: Path) -> None:
        self.rig, self.variant, self._folder = rig, variant, folder

    def deploy(self, overlay: Overlay) -> None:
        """Applies an overlay, as a user does."""
        written = overlay.write(self._folder)
        self.rig.kubectl("apply", "--server-side", "--force-conflicts", "-k", written)

    def await_ready(self, count: int, within_s: float = _READY_S) -> None:
        """Waits until this number of pods is ready, and no others exist."""

        def are_ready() -> bool:
            pods = self.pods()
            return len(pods) == count == sum(map(_is_ready, pods))

        try:
            wait_until(are_ready, within_s, f"{count} pods ready")
        except AssertionError:
            print(self.rig.try_kubectl("get", "pods", *self._in).stdout)
            print(self.rig.try_kubectl("get", "events", *self._in).stdout[-3000:])
            raise

    def pods(self) -> list[dict[str, Any]]:
        """Returns all pods, terminating ones included."""
        return list(self.rig.get("pods", *self._in)["items"])

    def ready(self) -> int:
        """Returns the number of ready pods."""
        return sum(map(_is_ready, self.pods()))

    def state(self) -> str:
        """Returns the state in the status of the SeldonDeployment."""
        found = self.rig.get("sdep", self.variant.deployment, *self._in)
        return str(found.get("status", {}).get("state", ""))

    def kubectl(self, *arguments: str, timeout: float = 120) -> str:
        """Runs a command in the namespace, and returns its output."""
        return self.rig.kubectl(*arguments, *self._in, timeout=timeout)

    def evict(self, pod: str) -> None:
        """Evicts a pod, as a drain does; the disruption budgets must allow it."""
        space = self.variant.namespace
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": space},
        }
        path = f"/api/v1/namespaces/{space}/pods/{pod}/eviction"
        self.rig.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))

    def clear(self) -> None:
        """Deletes the deployment, and waits until its pods are gone."""
        self.rig.try_kubectl("delete", "sdep", "--all", *self._in)
        space = self.rig.try_kubectl("get", "namespace", self.variant.namespace)
        if space.returncode == 0:
            wait_until(lambda: not self.pods(), _GONE_S, "no pods")

    @property
    def _in(self) -> tuple[str, str]:
        return "-n", self.variant.namespace


def name(pod: dict[str, Any]) -> str:
    """Returns the name of a pod."""
    return str(pod["metadata"]["name"])


def image(pod: dict[str, Any]) -> str:
    """Returns the image of a pod's first container."""
    return str(pod["spec"]["containers"][0]["image"])


def _is_ready(pod: dict[str, Any]) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and is_ready(pod)
