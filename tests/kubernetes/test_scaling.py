"""Autoscalers on a real Kubernetes: KEDA by lag, from none and back, and HPA by processor time."""

from __future__ import annotations

import time

import pytest

from tests.kubernetes.conftest import NewPlace
from tests.kubernetes.figures import Figures
from tests.kubernetes.overlays import Overlay, hpa, keda
from tests.kubernetes.traffic import Run
from tests.support.stream import wait_until

pytestmark = [
    pytest.mark.full,
    pytest.mark.alone,
    pytest.mark.timeout(900),
]

# The native way's is done before an autoscaler has looked twice, unless it is large.
BACKLOG = {"native": 100_000, "executor": 6_000}
LAG_OF_ONE = "1000"
RATE = 1500.0
# Down quickly: an operator has more time than a test.
DOWN = {
    "stabilizationWindowSeconds": 15,
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 5}],
}


@pytest.mark.parametrize("variant", ["native", "executor"])
def test_lag_scales_from_none_to_four_and_back(
    new_place: NewPlace, figures: Figures, variant: str
) -> None:
    place = new_place(variant)
    place.deploy(
        Overlay(
            f"{variant}-keda-lag",
            place.variant,
            patches=[
                keda("maxReplicaCount", 4),
                keda("cooldownPeriod", 15),
                keda("triggers/0/metadata/lagThreshold", LAG_OF_ONE),
                keda("advanced/horizontalPodAutoscalerConfig/behavior/scaleDown", DOWN),
            ],
        )
    )
    place.await_ready(0)
    run = Run(place.variant, BACKLOG[variant]).start().finish_sending()
    sent_s = time.time()
    wait_until(lambda: place.ready() >= 1, 120, "one pod is ready")
    figures.note("lag: from none to the first pod ready", variant, f"{time.time() - sent_s:.1f} s")
    most = [0]

    def are_all_up() -> bool:
        most[0] = max(most[0], place.ready())
        return most[0] == 4

    if variant == "native":
        wait_until(are_all_up, 120, "four pods are ready")
        figures.note("lag: to four pods ready", variant, f"{time.time() - sent_s:.1f} s")
    verdict = run.judge(120)
    figures.note_verdict("lag, 0 to 4 to 0", variant, verdict)
    if variant == "native":
        assert verdict.promises_kept, verdict
    done_s = time.time()
    place.await_ready(0, within_s=300)
    figures.note("lag: from the end of the work to none", variant, f"{time.time() - done_s:.0f} s")


def test_processor_time_scales_up(new_place: NewPlace, figures: Figures) -> None:
    place = new_place("native")
    patches = [hpa("minReplicas", 1), hpa("maxReplicas", 3)]
    place.deploy(Overlay("native-hpa", place.variant, patches=patches))
    place.await_ready(1)
    started_s = time.time()
    run = Run(place.variant, int(RATE * 60), RATE).start()
    wait_until(lambda: place.ready() > 1, 150, "there is a second pod")
    figures.note("processor time: to the second pod", "native", f"{time.time() - started_s:.0f} s")
    verdict = run.finish_sending().judge(60)
    figures.note_verdict("processor time, 1 to 3", "native", verdict)
    assert verdict.promises_kept, verdict
