"""The dashboard's Kubernetes mode lists, ends and rescales real pods."""

from __future__ import annotations

import pytest

from consumer.dashboard.fleet import BY_HAND, Scaling
from consumer.dashboard.kubernetes.backend import KubernetesBackend
from tests.kubernetes.conftest import NewPlace
from tests.kubernetes.overlays import Overlay
from tests.kubernetes.place import name
from tests.kubernetes.rig import Rig
from tests.support.stream import wait_until

pytestmark = [pytest.mark.full, pytest.mark.alone, pytest.mark.timeout(600)]


def test_pods_are_listed_ended_and_rescaled(
    rig: Rig, new_place: NewPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = new_place("native")
    place.deploy(Overlay("native", place.variant))
    place.await_ready(2)
    monkeypatch.setenv("KUBECONFIG", str(rig.kubeconfig))
    backend = KubernetesBackend(place.variant.namespace, place.variant.deployment)
    try:
        before = {name(pod) for pod in place.pods()}
        assert {each.name for each in backend.snapshot().instances} == before
        assert all(
            b'"workers"' in backend.fetch(each, "/status") for each in backend.snapshot().instances
        )

        said: list[str] = []
        victim = min(before)
        assert backend.kill(victim).run(said.append) == 0, said
        wait_until(lambda: victim not in {name(pod) for pod in place.pods()}, 60, "it is gone")
        place.await_ready(2)
        assert "gone" in {each.what for each in backend.snapshot().events if each.name == victim}

        backend.snapshot()
        by_hand = Scaling(BY_HAND, 3, 3, 3, 0)
        assert backend.scale(by_hand).run(said.append) == 0, said
        place.await_ready(3)
        scaling = backend.snapshot().scaling
        assert scaling is not None
        assert scaling.count == 3
    finally:
        backend.close()
