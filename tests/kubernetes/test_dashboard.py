"""The dashboard's Kubernetes mode lists, deletes and rescales real pods."""

from __future__ import annotations

import pytest

from consumer.dashboard.fleet import BY_HAND, Scaling
from consumer.dashboard.kubernetes.backend import KubernetesBackend
from tests.kubernetes.conftest import NewNamespace
from tests.kubernetes.overlays import Overlay
from tests.kubernetes.rig import Rig
from tests.kubernetes.stream_namespace import name
from tests.support.stream import wait_until

pytestmark = [pytest.mark.full, pytest.mark.alone, pytest.mark.timeout(600)]


def test_pods_are_listed_and_deleted_and_rescaled(
    rig: Rig, new_namespace: NewNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = new_namespace("native")
    namespace.deploy(Overlay("native", namespace.variant))
    namespace.await_ready(2)
    monkeypatch.setenv("KUBECONFIG", str(rig.kubeconfig))
    backend = KubernetesBackend(namespace.variant.namespace, namespace.variant.deployment)
    try:
        before = {name(pod) for pod in namespace.pods()}
        assert {each.name for each in backend.snapshot().instances} == before
        assert all(
            b'"workers"' in backend.fetch(each, "/status") for each in backend.snapshot().instances
        )

        output: list[str] = []
        victim = min(before)
        assert backend.kill(victim).run(output.append) == 0, output
        wait_until(lambda: victim not in {name(pod) for pod in namespace.pods()}, 60, "it is gone")
        namespace.await_ready(2)
        assert "gone" in {each.what for each in backend.snapshot().events if each.name == victim}

        backend.snapshot()
        by_hand = Scaling(BY_HAND, 3, 3, 3, 0)
        assert backend.scale(by_hand).run(output.append) == 0, output
        namespace.await_ready(3)
        scaling = backend.snapshot().scaling
        assert scaling is not None
        assert scaling.count == 3
    finally:
        backend.close()
