"""Why a pod is not ready, leaves, or is gone, as far as the API lets one know."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from consumer.dashboard.fleet import BY_HAND, Instance, Scaling
from consumer.dashboard.kubernetes.history import History
from consumer.dashboard.kubernetes.pods import read_pod
from tests.consumer.kubernetes_cluster import Document, new_pod, set_ready, timestamp
from tests.consumer.kubernetes_rig import Rig, Start, run
from tests.support.stream import wait_until

HOSTILE = "</td><script>alert(1)</script>\x1b[31m"


def see(rig: Rig, name: str) -> Instance:
    return next(each for each in rig.backend.look().instances if each.name == name)


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
def test_a_pod_that_is_not_ready_says_why(
    rig: Rig, change: Callable[[Document], None], why: str
) -> None:
    name = rig.await_ready(2)[0].name
    with rig.cluster.changing(name) as pod:
        change(pod)
    seen = see(rig, name)
    assert (seen.ready, seen.why) == (False, why)


def test_a_container_that_ran_out_of_memory_says_so_while_it_waits_and_once_it_is_back(
    rig: Rig,
) -> None:
    name = rig.await_ready(2)[0].name
    rig.cluster.run_out_of_memory(name)
    seen = see(rig, name)
    oom = "OOMKilled (exit code 137, SIGKILL), started again 1 time"
    assert not seen.ready
    assert seen.why.startswith(f"{oom}, CrashLoopBackOff: back-off 10s restarting")
    with rig.cluster.changing(name) as pod:
        pod["status"]["containerStatuses"][0]["state"] = {"running": {}}
        set_ready(pod, True)
    assert (see(rig, name).ready, see(rig, name).why) == (True, oom)
    (again, _), (ready, _) = rig.happened(name)
    assert (again, ready) == ("started", "ready")


def test_a_pod_that_vanished_after_trouble_tells_of_it(rig: Rig) -> None:
    name = rig.await_ready(2)[0].name
    rig.cluster.run_out_of_memory(name)
    see(rig, name)
    rig.cluster.delete(name)
    assert rig.await_ended(name).why.startswith("deleted; before that OOMKilled (exit code 137")


def test_a_pod_that_somebody_deleted_says_so(rig: Rig) -> None:
    name = rig.await_ready(2)[0].name
    rig.cluster.delete(name)
    assert rig.await_ended(name).why == "deleted"


def test_a_pod_that_was_too_many_was_scaled_in(start: Start) -> None:
    rig = start(grace_s=1.0)
    names = {each.name for each in rig.await_ready(2)}
    assert run(rig.backend.scale(Scaling(BY_HAND, 0, 0, 1, 0)))[0] == 0
    (left,) = rig.await_ready(1)
    (gone,) = names - {left.name}
    assert rig.happened(gone) == [("leaving", "scaled in"), ("gone", "scaled in")]
    assert rig.backend.look().wanted == 1


def test_a_pod_of_the_version_before_was_replaced(rig: Rig) -> None:
    old = rig.await_ready(2)[0].name
    # Times of the API are whole seconds.
    wait_until(lambda: timestamp(time.time()) > rig_time(rig, old), 3, "another second")
    rig.cluster.roll_out("7c9f6b5d4")
    assert rig.await_ended(old).why == "replaced by a newer version"


def rig_time(rig: Rig, name: str) -> str:
    return str(rig.cluster.pods[name]["status"]["startTime"])


def test_an_evicted_pod_says_so(rig: Rig) -> None:
    name = rig.await_ready(2)[0].name
    rig.cluster.evict(name)
    assert rig.await_ended(name).why == "evicted: Eviction API: evicting"


def test_a_pod_that_the_kubelet_evicted_stays_listed_and_has_ended(rig: Rig) -> None:
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
    assert rig.happened(name) == [("gone", gone.why)]
    assert len(rig.await_ready(2)) == 2


def test_an_ended_pod_is_shown_for_two_minutes_whether_it_is_still_listed_or_not() -> None:
    vanishing, failing = new_pod("vanishing", {}), new_pod("failing", {})
    history, begun_s = History(), time.time()

    def look(at_s: float, *documents: Document) -> list[str]:
        history.update([read_pod(each, None, at_s) for each in documents], 0, at_s)
        return sorted(each.name for each in history.instances())

    assert look(begun_s, vanishing, failing) == ["failing", "vanishing"]
    failing["status"].update(phase="Failed", reason="NodeLost")
    assert look(begun_s + 10, failing) == ["failing", "vanishing"]
    assert [each.ended_s for each in history.instances()] == [begun_s + 10, begun_s + 10]
    assert look(begun_s + 129, failing) == ["failing", "vanishing"]
    assert look(begun_s + 131, failing) == []
    assert [each.what for each in history.happenings()] == ["gone", "gone"]


def test_names_and_reasons_are_plain_text_whatever_is_in_them(start: Start) -> None:
    # The pod is one too many, so the cluster lets it go; not before the test has.
    rig = start(grace_s=600)
    name = f"a/../{HOSTILE}; rm -rf ~ #"
    rig.cluster.add(name, **{"seldon-deployment-id": "kmnist"})
    with rig.cluster.changing(name) as pod:
        set_waiting(pod["status"]["containerStatuses"][0], HOSTILE, f"{HOSTILE}\n" * 99)
    seen = see(rig, name)
    assert seen.why.startswith(f"{HOSTILE}: {HOSTILE} {HOSTILE}")
    assert len(seen.why) == 300
    assert seen.why.endswith("…")
    action = rig.backend.kill(name)
    assert f"delete pod '{name}' --grace-period=0" in action.command
    assert run(action) == (0, f'pod "{name}" force deleted')
    assert name not in rig.cluster.pods


@pytest.mark.parametrize("name", ["", ".", "..", "--all", "../..", "%2e%2e", "a/b"])
def test_a_name_leads_to_no_other_resource(rig: Rig, name: str) -> None:
    status, said = run(rig.backend.kill(name))
    assert status == 1
    assert f'there is no pod "{name}"' in said
    assert all(method == "GET" for method, _, _ in rig.api.requests)
    assert " --all" not in rig.backend.kill(name).command
