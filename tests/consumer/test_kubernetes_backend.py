"""The dashboard lists, ends and scales pods through the API server."""

from __future__ import annotations

import copy
import json
import logging
import os
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from consumer.dashboard.fleet import AUTOMATIC, Action, Backend, Scaling
from consumer.dashboard.kubernetes import KubernetesBackend
from kafka.cluster.certificates import make_authority
from tests.seldon_kafka.test_http import Port
from tests.support.kubernetes_cluster import NAME, NAMESPACE, timestamp
from tests.support.kubernetes_rig import (
    KEDA,
    MANIFEST,
    Rig,
    Start,
    keda_of,
    run,
    with_component,
)
from tests.support.patience import patient

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")


def test_the_backend_names_its_location(rig: Rig) -> None:
    backend: Backend = rig.backend
    assert backend.location == f"seldon/kmnist on {rig.api.url}"


def test_only_the_pods_of_the_deployment_are_listed(rig: Rig) -> None:
    rig.cluster.add("pod-of-another", **{"seldon-deployment-id": "other"})
    first, second = rig.await_ready(2)
    assert first.name.startswith("kmnist-default-0-classifier-")
    assert first.name != second.name
    assert first.identity == rig.cluster.pods[first.name]["metadata"]["uid"]
    assert timestamp(first.started_s) == rig.cluster.pods[first.name]["status"]["startTime"]
    assert first.memory_bytes == 50 * 2**20
    assert first.why == ""


def test_the_first_snapshot_has_no_events(rig: Rig) -> None:
    assert rig.backend.snapshot().events == ()


def test_without_a_metrics_server_memory_is_unknown(rig: Rig) -> None:
    rig.api.measures = False
    assert [each.memory_bytes for each in rig.await_ready(2)] == [None, None]


def test_a_stopped_pod_leaves_and_another_replaces_it(start: Start) -> None:
    rig = start(grace_s=1.0)
    stopped, other = rig.await_ready(2)
    action = rig.backend.stop(stopped.name)
    assert action.command == f"kubectl --namespace seldon delete pod {stopped.name}"
    assert run(action) == (0, f'pod "{stopped.name}" deleted')
    (leaving,) = [each for each in rig.running() if each.leaving]
    assert (leaving.name, leaving.why) == (stopped.name, "stopped on purpose")
    gone = rig.await_ended(stopped.name)
    assert (gone.identity, gone.why, gone.ready) == (stopped.identity, "stopped on purpose", False)
    successor = next(each for each in rig.await_ready(2) if each.name != other.name)
    assert rig.events_of(stopped.name) == [
        ("leaving", "stopped on purpose"),
        ("gone", "stopped on purpose"),
    ]
    assert rig.events_of(successor.name) == [("started", ""), ("ready", "")]
    assert rig.backend.snapshot().instances[-1].name == stopped.name


def test_a_killed_pod_is_gone_at_once(start: Start) -> None:
    rig = start(grace_s=60)
    killed = rig.await_ready(2)[0]
    action = rig.backend.kill(killed.name)
    assert action.command == (
        f"kubectl --namespace seldon delete pod {killed.name} --grace-period=0 --force"
    )
    assert run(action) == (0, f'pod "{killed.name}" force deleted')
    assert rig.await_ended(killed.name).why == "killed on purpose"
    assert rig.events_of(killed.name) == [("gone", "killed on purpose")]
    rig.await_ready(2)


def test_a_leaving_pod_can_be_killed(start: Start) -> None:
    rig = start(grace_s=60)
    pod = rig.await_ready(2)[0]
    run(rig.backend.stop(pod.name))
    assert rig.events_of(pod.name) == [("leaving", "stopped on purpose")]
    run(rig.backend.kill(pod.name))
    assert rig.await_ended(pod.name).why == "killed on purpose"


def test_a_random_kill_spares_leaving_pods(start: Start) -> None:
    rig = start(grace_s=60)
    leaving, staying = (each.name for each in rig.await_ready(2))
    run(rig.backend.stop(leaving))
    rig.cluster.unmanaged.update(rig.cluster.pods)
    action = rig.backend.kill_random()
    name = shlex.split(action.command)[5]
    assert name != leaving
    assert run(action) == (0, f'pod "{name}" force deleted')
    assert name not in rig.cluster.pods
    assert staying


def test_without_pods_a_random_kill_fails(start: Start) -> None:
    manifest = copy.deepcopy(MANIFEST)
    manifest["spec"]["predictors"][0]["replicas"] = 0
    status, output = run(start(manifest).backend.kill_random())
    assert status == 1
    assert output.startswith("there is no pod of seldon/kmnist on http://127.0.0.1:")


def test_a_pod_of_another_deployment_is_not_killed(rig: Rig) -> None:
    rig.cluster.add("pod-of-another", **{"seldon-deployment-id": "other"})
    status, output = run(rig.backend.kill("pod-of-another"))
    assert status == 1
    assert 'there is no pod "pod-of-another" of seldon/kmnist' in output
    assert "pod-of-another" in rig.cluster.pods


def test_a_later_pod_of_the_same_name_is_not_deleted(rig: Rig) -> None:
    pod = rig.await_ready(2)[0]
    seen = rig.api.requests
    run(rig.backend.stop(pod.name))
    deletion = next(body for method, _, body in seen if method == "DELETE")
    assert deletion["preconditions"] == {"uid": pod.identity}


def test_many_threads_get_each_event_once(start: Start) -> None:
    rig = start(grace_s=0.1)
    rig.await_ready(2)
    with ThreadPoolExecutor(6) as pool:
        snapshots = [pool.submit(rig.backend.snapshot) for _ in range(60)]
        kills = [pool.submit(run, rig.backend.kill_random()) for _ in range(3)]
        assert sum(status == 0 for status, _ in (kill.result() for kill in kills)) >= 1
        assert [each.result().wanted for each in snapshots] == [2] * 60
    rig.await_ready(2)
    for name in {each.name for each in rig.backend.snapshot().events}:
        what = [each for each, _ in rig.events_of(name)]
        assert len(what) == len(set(what)), f"{name}: {what}"


def test_commands_name_the_context(rig: Rig) -> None:
    backend = KubernetesBackend(NAMESPACE, NAME, "nowhere")
    assert backend.stop("a b").command == (
        "kubectl --namespace seldon --context nowhere delete pod 'a b'"
    )
    assert backend.location == "seldon/kmnist on http://127.0.0.1:9"


def kubectl(rig: Rig, action: Action) -> str:
    """Runs the command of an action, instead of the action."""
    ran = subprocess.run(
        shlex.split(action.command),
        env={**os.environ, "HOME": str(rig.folder)},
        capture_output=True,
        text=True,
        timeout=patient(60),
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@needs_kubectl
def test_the_commands_do_the_same_as_the_actions(start: Start) -> None:
    # kubectl sends no token over an unencrypted connection.
    rig = start(with_component(kedaSpec=KEDA), authority=make_authority())
    (pod,) = rig.await_ready(1)
    assert f'pod "{pod.name}" deleted' in kubectl(rig, rig.backend.stop(pod.name))
    assert rig.await_ended(pod.name).why == "deleted"
    (pod,) = rig.await_ready(1)
    rig.cluster.grace_s = 60
    assert f'pod "{pod.name}" force deleted' in kubectl(rig, rig.backend.kill(pod.name))
    assert pod.name not in rig.cluster.pods
    scale = rig.backend.scale(Scaling(AUTOMATIC, 2, 3, 0, 50))
    assert kubectl(rig, scale) == ("seldondeployment.machinelearning.seldon.io/kmnist patched\n")
    assert keda_of(rig.cluster.manifest) == [2, 3, "50"]
    status, output = run(scale)
    assert status == 1, "the manifest has changed since the action was created"
    assert "another user" in output


def test_a_supervisor_is_reached_through_the_api_server(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    supervisor = Port(tmp_path / "metrics")
    rig.api.pod_port = supervisor.server.port
    pod = rig.await_ready(2)[0]
    try:
        assert json.loads(rig.backend.fetch(pod, "/status"))["class"] == "Model"
    finally:
        supervisor.server.stop()
    path = next(path for _, path, _ in rig.api.requests if "proxy" in path)
    assert path == f"/api/v1/namespaces/seldon/pods/{pod.name}:8080/proxy/status"


def test_requests_and_tokens_are_never_logged(
    rig: Rig, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    rig.api.forbidden = {"delete pods"}
    pod = rig.await_ready(2)[0]
    run(rig.backend.stop(pod.name))
    assert "a-token" not in caplog.text
    assert capfd.readouterr() == ("", "")
