"""The errors of `python -m sdep.deploy` and `python -m sdep.kind`, which contain advice."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sdep.kind import __main__ as kind
from tests.support.manifests import FOLDER, OVERLAYS, ROOT, component, of_kind, overlay
from tests.support.patience import patient

SCALED_BY_KEDA = [name for name in OVERLAYS if "keda" in name]


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "KUBECONFIG": "/nowhere", **environ},
        capture_output=True,
        text=True,
        timeout=patient(60),
    )


def test_the_error_for_an_unknown_overlay_lists_the_known_ones() -> None:
    ran = run("sdep.deploy", "nativ")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: there is no overlay 'nativ'; there are ")
    assert all(name in ran.stderr for name in OVERLAYS)


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("--image", "registry.example.com:5000/kmnist", "add a tag"),
        ("--broker", "kafka.example.com", "HOST:PORT is needed"),
        ("--broker", "", "HOST:PORT is needed"),
        ("--broker", ":9092", "HOST:PORT is needed"),
        ("--broker", "one.example.com:9092,two.example.com", "HOST:PORT is needed"),
    ],
)
def test_a_wrong_image_or_broker_is_refused(option: str, value: str, hint: str) -> None:
    overlay("native")  # skips the test without kubectl
    ran = run("sdep.deploy", "native", option, value)
    assert ran.returncode == 2
    assert hint in ran.stderr


def test_a_missing_cluster_is_an_error() -> None:
    overlay("native")
    ran = run("sdep.deploy", "native", "--broker", "kafka.example.com:9092")
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: no cluster answers")
    assert "Traceback" not in ran.stderr


def test_a_missing_kubectl_is_an_error() -> None:
    ran = run("sdep.deploy", "native", PATH="/nowhere")
    assert ran.returncode == 1
    assert "kubectl is not installed" in ran.stderr


def test_the_print_option_prints_the_manifests() -> None:
    overlay("native")
    ran = run(
        "sdep.deploy", "native", "--print", "--image", "here/it:7", "--broker", "b.example.com:1",
        "--namespace", "elsewhere",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = list(yaml.safe_load_all(ran.stdout))
    (config,) = of_kind(found, "ConfigMap")
    assert config["data"]["KAFKA_BROKER"] == "b.example.com:1"
    assert "image: here/it:7\n" in ran.stdout
    assert {each["metadata"].get("namespace", "elsewhere") for each in found} == {"elsewhere"}


@pytest.mark.parametrize("name", SCALED_BY_KEDA)
def test_an_autoscaler_uses_another_namespace_or_the_namespace_is_refused(name: str) -> None:
    overlay(name)
    ran = run("sdep.deploy", name, "--print", "--namespace", "elsewhere")
    if ran.returncode:
        assert ran.returncode == 2
        assert "has its own copy of the namespace" in ran.stderr
        return
    (found,) = of_kind(list(yaml.safe_load_all(ran.stdout)), "SeldonDeployment")
    (trigger,) = component(found)["kedaSpec"]["triggers"]
    assert "namespace=" not in str(trigger)
    assert "kmnist-executor" not in str(trigger)


def test_the_network_policy_opens_the_ports_of_other_brokers() -> None:
    overlay("native")
    brokers = "one.example.com:9096,two.example.com:29092"
    ran = run("sdep.deploy", "native", "--print", "--broker", brokers)
    (policy,) = of_kind(list(yaml.safe_load_all(ran.stdout)), "NetworkPolicy")
    opened = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert {9096, 29092} <= opened


def test_the_error_of_kind_names_missing_tools(tmp_path: Path) -> None:
    ran = run("sdep.kind", "up", PATH=str(tmp_path))
    assert ran.returncode == 1
    assert "needed and not installed: a Docker engine, kind" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_kind_opens_the_ports_of_the_broker() -> None:
    config = yaml.safe_load((FOLDER / "kind" / "cluster.yaml").read_text("utf-8"))
    opened = {
        each["hostPort"]: each["containerPort"] for each in config["nodes"][0]["extraPortMappings"]
    }
    (cluster,) = of_kind(overlay("kind-kafka"), "Kafka")
    (outside,) = [
        each for each in cluster["spec"]["kafka"]["listeners"] if each["type"] == "nodeport"
    ]
    configuration = outside["configuration"]
    (broker,) = configuration["brokers"]
    assert opened == {
        configuration["bootstrap"]["nodePort"]: configuration["bootstrap"]["nodePort"],
        broker["advertisedPort"]: broker["nodePort"],
    }
    assert f"{broker['advertisedHost']}:{configuration['bootstrap']['nodePort']}" == kind.BROKER


def test_kind_deploys_existing_overlays() -> None:
    text = (FOLDER / "kind" / "__main__.py").read_text("utf-8")
    deployed = set(re.findall(r'_deploy\("([^"]+)"', text))
    assert len(deployed) == 2
    assert deployed <= set(OVERLAYS)


def test_the_readme_installs_strimzi_as_kind_does() -> None:
    (chart,) = [each for each in kind.CHARTS if each.name == "strimzi"]
    text = (FOLDER / "README.md").read_text("utf-8")
    for word in (chart.chart, chart.repository, f"--version {chart.version}", *chart.values):
        assert word in text
