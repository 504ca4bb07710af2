"""Both runtimes on a real Kubernetes, during interventions of operators.

The native runtime must keep its promises. The results of Seldon's executor are only recorded.
"""

from __future__ import annotations

import subprocess
import time

import pytest

from tests.kubernetes.conftest import NewNamespace
from tests.kubernetes.figures import Figures
from tests.kubernetes.overlays import Overlay, replicas
from tests.kubernetes.rig import Rig
from tests.kubernetes.stream_namespace import StreamNamespace, image, name
from tests.kubernetes.traffic import Run, Verdict
from tests.support.stream import wait_until

pytestmark = [
    pytest.mark.full,
    pytest.mark.alone,
    pytest.mark.timeout(900),
    pytest.mark.parametrize("variant", ["native", "executor"]),
]

IMAGES = 3000
# Twice the rate that one pod of the executor reaches with this model.
RATE = 60.0
UNDER_LOAD = 2400
ANSWERED_S = 60.0


def deployed(new_namespace: NewNamespace, variant: str, pods: int = 2) -> StreamNamespace:
    """Deploys a variant, and waits until this number of pods is ready."""
    namespace = new_namespace(variant)
    namespace.deploy(Overlay(variant, namespace.variant, patches=[replicas(pods)]))
    namespace.await_ready(pods)
    return namespace


def judge(run: Run, namespace: StreamNamespace, experiment: str, figures: Figures) -> Verdict:
    """Records the results of a run; those of the native runtime must keep the promises."""
    verdict = run.finish_sending().judge(ANSWERED_S)
    figures.record_verdict(experiment, namespace.variant.name, verdict)
    if namespace.variant.name == "native":
        assert verdict.promises_kept, verdict
    return verdict


def test_3000_images_are_answered_correctly(
    new_namespace: NewNamespace, figures: Figures, variant: str
) -> None:
    namespace = new_namespace(variant)
    first = Run(namespace.variant, 1).start().finish_sending()
    applied_s = time.time()
    namespace.deploy(Overlay(variant, namespace.variant))
    waited_s = first.first_answer_s(180) - applied_s
    figures.record("from `kubectl apply` to the first answer", variant, f"{waited_s:.1f} s")
    namespace.await_ready(2)
    wait_until(lambda: namespace.state() == "Available", 60, "the deployment says Available")
    run = Run(namespace.variant, IMAGES).start()
    verdict = judge(run, namespace, "3,000 test images", figures)
    assert verdict.wrong == 0
    rate = (verdict.sent - verdict.lost) / verdict.took_s
    figures.record("3,000 test images: answers a second", variant, f"{rate:,.0f}")


def test_the_runtime_handles_a_deleted_pod(
    new_namespace: NewNamespace, figures: Figures, variant: str
) -> None:
    namespace = deployed(new_namespace, variant)
    run = Run(namespace.variant, UNDER_LOAD, RATE).start()
    time.sleep(8)  # so that it hits a pod at work
    namespace.kubectl("delete", "pod", name(namespace.pods()[0]), "--wait=false")
    judge(run, namespace, "`kubectl delete pod`", figures)
    namespace.await_ready(2)


def test_the_runtime_handles_a_killed_pod(
    new_namespace: NewNamespace, figures: Figures, variant: str
) -> None:
    namespace = deployed(new_namespace, variant)
    run = Run(namespace.variant, UNDER_LOAD, RATE).start()
    time.sleep(8)  # so that it hits a pod at work
    namespace.kubectl("delete", "pod", name(namespace.pods()[0]), "--force", "--grace-period=0")
    judge(run, namespace, "`kubectl delete pod --force`", figures)
    namespace.await_ready(2)


def test_the_runtime_handles_a_killed_container(
    rig: Rig, new_namespace: NewNamespace, figures: Figures, variant: str
) -> None:
    namespace = deployed(new_namespace, variant)
    run = Run(namespace.variant, UNDER_LOAD, RATE).start()
    time.sleep(8)  # so that it hits a container at work
    for status in namespace.pods()[0]["status"]["containerStatuses"]:
        if status["name"] == "classifier":
            rig.kill_container(status["containerID"])
    judge(run, namespace, "the model's container killed", figures)
    namespace.await_ready(2)


def test_the_runtime_handles_a_rollout_to_a_new_image(
    new_namespace: NewNamespace, figures: Figures, variant: str
) -> None:
    namespace = deployed(new_namespace, variant)
    run = Run(namespace.variant, UNDER_LOAD, RATE).start()
    time.sleep(4)  # so that it hits pods at work
    namespace.deploy(Overlay(variant, namespace.variant, tag="0.2", patches=[replicas(2)]))
    judge(run, namespace, "a rollout", figures)
    namespace.await_ready(2)
    assert {image(pod).rpartition(":")[2] for pod in namespace.pods()} == {"0.2"}


def test_the_runtime_handles_a_drained_node(
    rig: Rig, new_namespace: NewNamespace, figures: Figures, variant: str
) -> None:
    namespace = deployed(new_namespace, variant)
    before = {name(pod) for pod in namespace.pods()}
    run = Run(namespace.variant, UNDER_LOAD, RATE).start()
    time.sleep(4)  # so that it hits pods at work
    drain = subprocess.Popen(
        ["kubectl", "drain", "node1", "--ignore-daemonsets", "--delete-emptydir-data", "--force"],
        env=rig.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: namespace.ready() < 2, 60, "the drain has taken a pod")
        # The disruption budget allows no further eviction before another pod is ready. This is the
        # only node, so it must accept new pods again.
        rig.kubectl("uncordon", "node1")
        drain.wait(180)
        assert drain.returncode == 0
    finally:
        drain.kill()
        drain.wait()
        rig.kubectl("uncordon", "node1")
    judge(run, namespace, "`kubectl drain`", figures)
    namespace.await_ready(2)
    assert not before & {name(pod) for pod in namespace.pods()}
