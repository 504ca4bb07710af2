"""Autoscalers on a real Kubernetes: KEDA by lag, from zero and back, and HPA by processor time."""

from __future__ import annotations

import time

import pytest

from tests.kubernetes.conftest import NewNamespace
from tests.kubernetes.figures import Figures
from tests.kubernetes.overlays import Overlay, hpa, keda
from tests.kubernetes.traffic import Run
from tests.support.stream import wait_until

pytestmark = [
    pytest.mark.full,
    pytest.mark.alone,
    pytest.mark.timeout(900),
]

# A small backlog of the native runtime is done before the second poll of an autoscaler.
BACKLOG = {"native": 100_000, "executor": 6_000}
LAG_OF_ONE = "1000"
RATE = 1500.0
# A test scales down faster than the default.
DOWN = {
    "stabilizationWindowSeconds": 15,
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 5}],
}


@pytest.mark.parametrize("variant", ["native", "executor"])
def test_lag_scales_from_zero_to_four_and_back(
    new_namespace: NewNamespace, figures: Figures, variant: str
) -> None:
    namespace = new_namespace(variant)
    namespace.deploy(
        Overlay(
            f"{variant}-keda-lag",
            namespace.variant,
            patches=[
                keda("maxReplicaCount", 4),
                keda("cooldownPeriod", 15),
                keda("triggers/0/metadata/lagThreshold", LAG_OF_ONE),
                keda("advanced/horizontalPodAutoscalerConfig/behavior/scaleDown", DOWN),
            ],
        )
    )
    namespace.await_ready(0)
    run = Run(namespace.variant, BACKLOG[variant]).start().finish_sending()
    sent_s = time.time()
    wait_until(lambda: namespace.ready() >= 1, 120, "one pod is ready")
    figures.record(
        "lag: from none to the first pod ready", variant, f"{time.time() - sent_s:.1f} s"
    )
    most = [0]

    def are_all_up() -> bool:
        most[0] = max(most[0], namespace.ready())
        return most[0] == 4

    if variant == "native":
        wait_until(are_all_up, 120, "four pods are ready")
        figures.record("lag: to four pods ready", variant, f"{time.time() - sent_s:.1f} s")
    verdict = run.judge(120)
    figures.record_verdict("lag, 0 to 4 to 0", variant, verdict)
    if variant == "native":
        assert verdict.promises_kept, verdict
    done_s = time.time()
    namespace.await_ready(0, within_s=300)
    figures.record(
        "lag: from the end of the work to none", variant, f"{time.time() - done_s:.0f} s"
    )


def test_processor_time_scales_up(new_namespace: NewNamespace, figures: Figures) -> None:
    namespace = new_namespace("native")
    patches = [hpa("minReplicas", 1), hpa("maxReplicas", 3)]
    namespace.deploy(Overlay("native-hpa", namespace.variant, patches=patches))
    namespace.await_ready(1)
    started_s = time.time()
    run = Run(namespace.variant, int(RATE * 60), RATE).start()
    wait_until(lambda: namespace.ready() > 1, 150, "there is a second pod")
    figures.record(
        "processor time: to the second pod", "native", f"{time.time() - started_s:.0f} s"
    )
    verdict = run.finish_sending().judge(60)
    figures.record_verdict("processor time, 1 to 3", "native", verdict)
    assert verdict.promises_kept, verdict
