"""`python -m sdep.deploy` on a real cluster: a deployment that works, and errors."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from sdep.kubectl import DeployError, Kubectl
from sdep.waiting import await_deployment
from tests.kubernetes.overlays import IMAGE, Variant
from tests.kubernetes.rig import ROOT, Rig

pytestmark = [pytest.mark.full, pytest.mark.alone, pytest.mark.timeout(300)]


def deploy(rig: Rig, space: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sdep.deploy", *arguments, "--namespace", space],
        cwd=ROOT,
        env=rig.environ,
        capture_output=True,
        text=True,
        timeout=250,
    )


def test_the_command_waits_until_pods_are_ready(rig: Rig, variants: dict[str, Variant]) -> None:
    broker = variants["native"].environ["KAFKA_BROKER"]
    try:
        ran = deploy(rig, "waits", "native", "--image", f"{IMAGE}:0.1", "--broker", broker)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "kmnist-default: 2 of 2 pods ready" in ran.stdout

        ran = deploy(rig, "waits", "native", "--image", "local/nowhere:9", "--broker", broker)
        assert ran.returncode == 1
        assert "the image local/nowhere:9 can't be pulled" in ran.stderr
    finally:
        rig.try_kubectl("delete", "namespace", "waits", "--wait=false")


def test_the_error_for_a_missing_broker_names_its_service(
    rig: Rig, variants: dict[str, Variant]
) -> None:
    ran = deploy(rig, "brokerless", "native", "--image", f"{IMAGE}:0.1")
    assert ran.returncode == 1
    assert "has no Service stream-kafka-bootstrap" in ran.stderr

    brokers = f"{variants['native'].environ['KAFKA_BROKER']},kafka-1:9092"
    ran = deploy(rig, "brokerless", "native", "--broker", brokers)
    assert ran.returncode == 1
    assert "has no Service kafka-1:" in ran.stderr


def test_the_error_for_an_unknown_overlay_lists_the_known_ones(rig: Rig) -> None:
    ran = deploy(rig, "nowhere", "nativ")
    assert ran.returncode == 2
    assert "there is no overlay 'nativ'; there are executor" in ran.stderr


def test_the_error_for_brokers_that_do_not_answer_names_them(rig: Rig) -> None:
    try:
        ran = deploy(
            rig,
            "unanswered",
            "native",
            "--image",
            f"{IMAGE}:0.1",
            "--broker",
            "10.244.0.1:9",
            "--timeout",
            "30",
        )
        assert ran.returncode == 1
        assert "no broker answers at 10.244.0.1:9" in ran.stderr
    finally:
        rig.try_kubectl("delete", "namespace", "unanswered", "--wait=false")


def test_a_deployment_is_awaited_and_the_error_names_it(
    rig: Rig,
    variants: dict[str, Variant],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(rig.kubeconfig))
    labels = {"app": "sleeper"}
    container = {"name": "sleeper", "image": f"{IMAGE}:0.1", "command": ["sleep", "600"]}
    manifest: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "sleeper", "namespace": "sleeps"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
            },
        },
    }
    rig.kubectl("create", "namespace", "sleeps")
    try:
        rig.apply(manifest)
        await_deployment(Kubectl(), manifest, time.monotonic() + 120)
        assert 'deployment "sleeper" successfully rolled out' in capfd.readouterr().out

        container["image"] = "local/nowhere:9"
        rig.apply(manifest)
        with pytest.raises(DeployError, match=r"sleeper is not available: .*describe deployment"):
            await_deployment(Kubectl(), manifest, time.monotonic() + 5)
    finally:
        rig.try_kubectl("delete", "namespace", "sleeps", "--wait=false")
