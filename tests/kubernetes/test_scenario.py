"""Both ways between the topics on a real Kubernetes: right answers, whatever operators do to them.

The native way must keep its promises through all of it. What Seldon's executor does is measured and
written down beside it, not judged.
"""

from __future__ import annotations

import subprocess
import time

import pytest

from tests.kubernetes.conftest import NewPlace
from tests.kubernetes.figures import Figures
from tests.kubernetes.overlays import Overlay, replicas
from tests.kubernetes.place import Place, image, name
from tests.kubernetes.rig import Rig
from tests.kubernetes.traffic import Run, Verdict
from tests.support.stream import wait_until

pytestmark = [
    pytest.mark.full,
    pytest.mark.alone,
    pytest.mark.timeout(900),
    pytest.mark.parametrize("variant", ["native", "executor"]),
]

IMAGES = 3000
# What one pod of the executor can take with this model, twice over.
RATE = 60.0
UNDER_LOAD = 2400
ANSWERED_S = 60.0


def deployed(new_place: NewPlace, variant: str, pods: int = 2) -> Place:
    """So many pods of a variant, ready."""
    place = new_place(variant)
    place.deploy(Overlay(variant, place.variant, patches=[replicas(pods)]))
    place.await_ready(pods)
    return place


def judge(run: Run, place: Place, what: str, figures: Figures) -> Verdict:
    """Notes what became of a run, and insists on it where it was promised."""
    verdict = run.finish_sending().judge(ANSWERED_S)
    figures.note_verdict(what, place.variant.name, verdict)
    if place.variant.name == "native":
        assert verdict.promises_kept, verdict
    return verdict


def test_3000_images_are_answered_rightly(
    new_place: NewPlace, figures: Figures, variant: str
) -> None:
    place = new_place(variant)
    first = Run(place.variant, 1).start().finish_sending()
    applied_s = time.time()
    place.deploy(Overlay(variant, place.variant))
    waited_s = first.first_answer_s(180) - applied_s
    figures.note("from `kubectl apply` to the first answer", variant, f"{waited_s:.1f} s")
    place.await_ready(2)
    wait_until(lambda: place.state() == "Available", 60, "the deployment says Available")
    run = Run(place.variant, IMAGES).start()
    verdict = judge(run, place, "3,000 test images", figures)
    assert verdict.wrong == 0
    rate = (verdict.sent - verdict.lost) / verdict.took_s
    figures.note("3,000 test images: answers a second", variant, f"{rate:,.0f}")


def test_a_deleted_pod(new_place: NewPlace, figures: Figures, variant: str) -> None:
    place = deployed(new_place, variant)
    run = Run(place.variant, UNDER_LOAD, RATE).start()
    time.sleep(8)  # so that it hits a pod at work
    place.kubectl("delete", "pod", name(place.pods()[0]), "--wait=false")
    judge(run, place, "`kubectl delete pod`", figures)
    place.await_ready(2)


def test_a_pod_that_is_killed_at_once(new_place: NewPlace, figures: Figures, variant: str) -> None:
    place = deployed(new_place, variant)
    run = Run(place.variant, UNDER_LOAD, RATE).start()
    time.sleep(8)  # so that it hits a pod at work
    place.kubectl("delete", "pod", name(place.pods()[0]), "--force", "--grace-period=0")
    judge(run, place, "`kubectl delete pod --force`", figures)
    place.await_ready(2)


def test_a_killed_container(rig: Rig, new_place: NewPlace, figures: Figures, variant: str) -> None:
    place = deployed(new_place, variant)
    run = Run(place.variant, UNDER_LOAD, RATE).start()
    time.sleep(8)  # so that it hits a container at work
    for status in place.pods()[0]["status"]["containerStatuses"]:
        if status["name"] == "classifier":
            rig.kill_container(status["containerID"])
    judge(run, place, "the model's container killed", figures)
    place.await_ready(2)


def test_a_rollout_to_a_new_image(new_place: NewPlace, figures: Figures, variant: str) -> None:
    place = deployed(new_place, variant)
    run = Run(place.variant, UNDER_LOAD, RATE).start()
    time.sleep(4)  # so that it hits pods at work
    place.deploy(Overlay(variant, place.variant, tag="0.2", patches=[replicas(2)]))
    judge(run, place, "a rollout", figures)
    place.await_ready(2)
    assert {image(pod).rpartition(":")[2] for pod in place.pods()} == {"0.2"}


def test_a_drained_node(rig: Rig, new_place: NewPlace, figures: Figures, variant: str) -> None:
    place = deployed(new_place, variant)
    before = {name(pod) for pod in place.pods()}
    run = Run(place.variant, UNDER_LOAD, RATE).start()
    time.sleep(4)  # so that it hits pods at work
    drain = subprocess.Popen(
        ["kubectl", "drain", "node1", "--ignore-daemonsets", "--delete-emptydir-data", "--force"],
        env=rig.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: place.ready() < 2, 60, "the drain has taken a pod")
        # The disruption budget lets it take no more before there is another one, and this is the
        # only node: it has to take new pods again.
        rig.kubectl("uncordon", "node1")
        drain.wait(180)
        assert drain.returncode == 0
    finally:
        drain.kill()
        drain.wait()
        rig.kubectl("uncordon", "node1")
    judge(run, place, "`kubectl drain`", figures)
    place.await_ready(2)
    assert not before & {name(pod) for pod in place.pods()}
