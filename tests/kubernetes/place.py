"""A namespace of the rig with one way between the topics in it."""

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


class Place:
    """Deploys an overlay, and says how its pods are.

    Args:
        rig: the cluster.
        variant: whose namespace.
        folder: for the overlays that are written.
    """

    def __init__(self, rig: Rig, variant: Variant, folder: Path) -> None:
        self.rig, self.variant, self._folder = rig, variant, folder

    def deploy(self, overlay: Overlay) -> None:
        """Applies an overlay, as a user would."""
        place = overlay.write(self._folder)
        self.rig.kubectl("apply", "--server-side", "--force-conflicts", "-k", place)

    def await_ready(self, count: int, within_s: float = _READY_S) -> None:
        """Waits until so many pods are ready and no other is there."""

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
        """All pods that are there, leaving ones too."""
        return list(self.rig.get("pods", *self._in)["items"])

    def ready(self) -> int:
        """How many are ready."""
        return sum(map(_is_ready, self.pods()))

    def state(self) -> str:
        """What the SeldonDeployment says of itself."""
        found = self.rig.get("sdep", self.variant.deployment, *self._in)
        return str(found.get("status", {}).get("state", ""))

    def kubectl(self, *arguments: str, timeout: float = 120) -> str:
        """A command in the namespace."""
        return self.rig.kubectl(*arguments, *self._in, timeout=timeout)

    def evict(self, pod: str) -> None:
        """Asks for a pod to leave as a drain does; the disruption budgets must allow it."""
        space = self.variant.namespace
        asked = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": space},
        }
        path = f"/api/v1/namespaces/{space}/pods/{pod}/eviction"
        self.rig.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(asked))

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
    """A pod's name."""
    return str(pod["metadata"]["name"])


def image(pod: dict[str, Any]) -> str:
    """The image of a pod's first container."""
    return str(pod["spec"]["containers"][0]["image"])


def _is_ready(pod: dict[str, Any]) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and is_ready(pod)
