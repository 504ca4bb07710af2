"""The reasons why a pod is not ready, leaves, or has ended, as far as the API has them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from consumer.dashboard.fleet import BY_HAND, Instance, Scaling
from consumer.dashboard.kubernetes.history import History
from consumer.dashboard.kubernetes.pods import read_pod
from tests.support.kubernetes_cluster import Document, new_pod, set_ready, timestamp
from tests.support.kubernetes_rig import Rig, Start, run
from tests.support.stream import wait_until

HOSTILE = "</td><script>alert(1)</script>\x1b[31m"


def instance_of(rig: Rig, name: str) -> Instance:
    return next(each for each in rig.backend.snapshot().instances if each.name == name)


def cannot_be_scheduled(pod: Document) -> None:
    why = "0/1 nodes are available: 1 Insufficient memory."
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    pod["status"] = {"phase": "Pending", "conditions": [{**scheduled, "message": why}]}


def cannot_be_pulled(pod: Document) -> None:
    message = 'Back-off pulling image "registry.example.com/kmnist:0.1"'
    set_waiting(pod["status"]["containerStatuses"][0], "ImagePullBackOff", message)
    set_ready(pod, False)


def waits_for_an_init_container(pod: Document) -> None:
    init = {"name": "fetch", "restartCount": 0, "state": {}, "lastState": {}}
    set_waiting(init, "ErrImagePull", "not found")
    pod["status"]["initContainerStatuses"] = [init]
    set_waiting(pod["status"]["containerStatuses"][0], "PodInitializing", "")
    set_ready(pod, False)


def set_waiting(container: Document, reason: str, message: str) -> None:
    container["state"] = {"waiting": {"reason": reason, "message": message}}


def merely_works(pod: Document) -> None:
    set_ready(pod, False)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (cannot_be_scheduled, "Unschedulable: 0/1 nodes are available: 1 Insufficient memory."),
        (
            cannot_be_pulled,
            'ImagePullBackOff: Back-off pulling image "registry.example.com/kmnist:0.1"',
        ),
        (
            waits_for_an_init_container,
            "fetch: ErrImagePull: not found; classifier: PodInitializing",
        ),
        (merely_works, ""),
    ],
)
def test_an_unready_pod_has_a_reason(
    rig: Rig, change: Callable[[Document], None], why: str
) -> None:
    name = rig.await_ready(2)[0].name
    with rig.cluster.changing(name) as pod:
        change(pod)
    instance = instance_of(rig, name)
    assert (instance.ready, instance.why) == (False, why)


def test_a_container_keeps_its_out_of_memory_reason_after_the_restart(
    rig: Rig,
) -> None:
    name = rig.await_ready(2)[0].name
    rig.cluster.run_out_of_memory(name)
    instance = instance_of(rig, name)
    oom = "OOMKilled (exit code 137, SIGKILL), restarted 1 time"
    assert not instance.ready
    assert instance.why.startswith(f"{oom}, CrashLoopBackOff: back-off 10s restarting")
    with rig.cluster.changing(name) as pod:
        pod["status"]["containerStatuses"][0]["state"] = {"running": {}}
        set_ready(pod, True)
    assert (instance_of(rig, name).ready, instance_of(rig, name).why) == (True, oom)
    (again, _), (ready, _) = rig.events_of(name)
    assert (again, ready) == ("started", "ready")


def test_the_reason_of_a_deleted_pod_includes_its_last_error(rig: Rig) -> None:
    name = rig.await_ready(2)[0].name
    rig.cluster.run_out_of_memory(name)
    instance_of(rig, name)
    rig.cluster.delete(name)
    assert rig.await_ended(name).why.startswith("deleted; before that OOMKilled (exit code 137")


def test_the_reason_of_a_deleted_pod_is_the_deletion(rig: Rig) -> None:
    name = rig.await_ready(2)[0].name
    rig.cluster.delete(name)
    assert rig.await_ended(name).why == "deleted"


def test_the_reason_of_a_surplus_pod_is_scaling_in(start: Start) -> None:
    rig = start(grace_s=1.0)
    names = {each.name for each in rig.await_ready(2)}
    assert run(rig.backend.scale(Scaling(BY_HAND, 0, 0, 1, 0)))[0] == 0
    (left,) = rig.await_ready(1)
    (gone,) = names - {left.name}
    assert rig.events_of(gone) == [("leaving", "scaled in"), ("gone", "scaled in")]
    assert rig.backend.snapshot().wanted == 1


def test_the_reason_of_an_old_pod_is_the_newer_version(rig: Rig) -> None:
    old = rig.await_ready(2)[0].name
    # The API has times in whole seconds.
    wait_until(lambda: timestamp(time.time()) > start_time(rig, old), 3, "another second")
    rig.cluster.roll_out("7c9f6b5d4")
    assert rig.await_ended(old).why == "replaced by a newer version"


def start_time(rig: Rig, name: str) -> str:
    return str(rig.cluster.pods[name]["status"]["startTime"])


def test_the_reason_of_an_evicted_pod_is_the_eviction(rig: Rig) -> None:
    name = rig.await_ready(2)[0].name
    rig.cluster.evict(name)
    assert rig.await_ended(name).why == "evicted: Eviction API: evicting"


def test_a_failed_pod_that_is_still_listed_has_ended(rig: Rig) -> None:
    name = rig.await_ready(2)[0].name
    ended_s = time.time() - 3
    with rig.cluster.changing(name) as pod:
        pod["status"].update(
            phase="Failed", reason="Evicted", message="The node was low on resource: memory."
        )
        pod["status"]["containerStatuses"][0]["state"] = {
            "terminated": {"exitCode": 137, "reason": "Error", "finishedAt": timestamp(ended_s)}
        }
    gone = rig.await_ended(name)
    assert gone.why == "Evicted: The node was low on resource: memory."
    assert gone.ended_s == pytest.approx(ended_s, abs=1)
    assert rig.events_of(name) == [("gone", gone.why)]
    assert len(rig.await_ready(2)) == 2


def test_an_ended_pod_is_shown_for_two_minutes() -> None:
    vanishing, failing = new_pod("vanishing", {}), new_pod("failing", {})
    history, begun_s = History(), time.time()

    def update(at_s: float, *documents: Document) -> list[str]:
        history.update([read_pod(each, None, at_s) for each in documents], 0, at_s)
        return sorted(each.name for each in history.instances())

    assert update(begun_s, vanishing, failing) == ["failing", "vanishing"]
    failing["status"].update(phase="Failed", reason="NodeLost")
    assert update(begun_s + 10, failing) == ["failing", "vanishing"]
    assert [each.ended_s for each in history.instances()] == [begun_s + 10, begun_s + 10]
    assert update(begun_s + 129, failing) == ["failing", "vanishing"]
    assert update(begun_s + 131, failing) == []
    assert [each.what for each in history.events()] == ["gone", "gone"]


def test_hostile_names_and_reasons_are_plain_text(start: Start) -> None:
    # The cluster ends this pod as surplus, but only after the test.
    rig = start(grace_s=600)
    name = f"a/../{HOSTILE}; rm -rf ~ #"
    rig.cluster.add(name, **{"seldon-deployment-id": "kmnist"})
    with rig.cluster.changing(name) as pod:
        set_waiting(pod["status"]["containerStatuses"][0], HOSTILE, f"{HOSTILE}\n" * 99)
    instance = instance_of(rig, name)
    assert instance.why.startswith(f"{HOSTILE}: {HOSTILE} {HOSTILE}")
    assert len(instance.why) == 300
    assert instance.why.endswith("…")
    action = rig.backend.kill(name)
    assert f"delete pod '{name}' --grace-period=0" in action.command
    assert run(action) == (0, f'pod "{name}" force deleted')
    assert name not in rig.cluster.pods


@pytest.mark.parametrize("name", ["", ".", "..", "--all", "../..", "%2e%2e", "a/b"])
def test_a_name_never_reaches_another_resource(rig: Rig, name: str) -> None:
    status, output = run(rig.backend.kill(name))
    assert status == 1
    assert f'there is no pod "{name}"' in output
    assert all(method == "GET" for method, _, _ in rig.api.requests)
    assert " --all" not in rig.backend.kill(name).command
