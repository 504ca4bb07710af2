"""Autoscalers read the metrics of the workers, and are valid as Seldon's operator creates them."""

from __future__ import annotations

import pytest

from seldon_kafka.topics.wanted import PARTITIONS
from tests.sdep.test_stream_manifests import container, native_settings
from tests.support.crd import Definitions, all_definitions, needs_definitions
from tests.support.manifests import (
    OVERLAYS,
    Document,
    component,
    deployment,
    environ,
    of_kind,
    overlay,
    predictor,
)

KEDA = [name for name in OVERLAYS if "keda" in name]
HPA = [name for name in OVERLAYS if name.endswith("-hpa")]


def keda(name: str) -> Document:
    return dict(component(deployment(name))["kedaSpec"])


def trigger(name: str) -> dict[str, str]:
    """Returns the metadata of the only trigger, with the values of the container's variables."""
    (found,) = keda(name)["triggers"]
    variables = environ(container(name), overlay(name))
    metadata = dict(found["metadata"])
    for key in [key for key in metadata if key.endswith("FromEnv")]:
        metadata[key.removesuffix("FromEnv")] = variables[metadata.pop(key)]
    return metadata


@needs_definitions
@pytest.mark.parametrize("name", KEDA)
def test_the_scaled_object_of_the_operator_is_valid(name: str) -> None:
    scaled = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "made"},
        "spec": {"scaleTargetRef": {"name": "made"}, **keda(name)},
    }
    assert all_definitions().errors(scaled) == []


@pytest.mark.parametrize("name", HPA)
def test_the_autoscaler_of_the_operator_is_valid(name: str) -> None:
    spec = component(deployment(name))["hpaSpec"]
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "made"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "made"},
            "minReplicas": spec["minReplicas"],
            "maxReplicas": spec["maxReplicas"],
            "metrics": spec["metricsv2"],
        },
    }
    assert Definitions().errors(scaler) == []
    # The older form would override it.
    assert "metrics" not in spec


@pytest.mark.parametrize("name", KEDA + HPA)
def test_no_fixed_number_overrides_an_autoscaler(name: str) -> None:
    found = deployment(name)
    assert "replicas" not in found["spec"]
    assert "replicas" not in predictor(found)
    assert "replicas" not in component(found)


@pytest.mark.parametrize("name", KEDA + HPA)
def test_the_maximum_of_pods_is_the_number_of_partitions(name: str) -> None:
    spec = component(deployment(name))
    most = spec["kedaSpec"]["maxReplicaCount"] if name in KEDA else spec["hpaSpec"]["maxReplicas"]
    assert most == PARTITIONS


@pytest.mark.parametrize("name", [each for each in KEDA if each.startswith("native-keda-lag")])
def test_keda_reads_the_lag_of_the_workers_group_and_topic(name: str) -> None:
    settings = native_settings(name)
    metadata = trigger(name)
    assert metadata["bootstrapServers"] == settings.broker
    assert metadata["consumerGroup"] == settings.group_id
    assert metadata["topic"] == settings.input_topic
    # With KEDA's default a group has no lag before its first commit.
    assert metadata["offsetResetPolicy"] == settings.start == "earliest"


def test_keda_reads_the_lag_of_the_executors_group() -> None:
    name = "executor-keda-lag"
    found = deployment(name)
    (space,) = of_kind(overlay(name), "Namespace")
    parts = (predictor(found)["name"], found["metadata"]["name"], space["metadata"]["name"])
    metadata = trigger(name)
    assert metadata["consumerGroup"] == ".".join(parts)
    (config,) = of_kind(overlay(name), "ConfigMap")
    assert metadata["bootstrapServers"] == config["data"]["KAFKA_BROKER"]
    assert metadata["topic"] == config["data"]["KAFKA_INPUT_TOPIC"]


@pytest.mark.parametrize("name", [each for each in KEDA if "prometheus" in each])
def test_pods_whose_metrics_scale_them_are_not_scaled_to_zero(name: str) -> None:
    assert keda(name)["minReplicaCount"] == 1
    (space,) = of_kind(overlay(name), "Namespace")
    assert f'namespace="{space["metadata"]["name"]}"' in trigger(name)["query"]


def test_keda_uses_the_workers_password() -> None:
    name = "native-keda-lag-sasl-ssl"
    (authentication,) = of_kind(overlay(name), "TriggerAuthentication")
    (found,) = keda(name)["triggers"]
    assert found["authenticationRef"]["name"] == authentication["metadata"]["name"]
    settings = native_settings(name)
    (username,) = authentication["spec"]["env"]
    assert environ(container(name), overlay(name))[username["name"]] == settings.sasl_username
    secrets = {
        each["parameter"]: f"{each['name']}/{each['key']}"
        for each in authentication["spec"]["secretTargetRef"]
    }
    assert secrets["password"] == settings.sasl_password
    (authority,) = [
        each["secret"]
        for each in component(deployment(name))["spec"]["volumes"]
        if "secret" in each
    ]
    assert secrets["ca"] == f"{authority['secretName']}/ca.crt"
    metadata = trigger(name)
    assert (metadata["tls"], metadata["sasl"]) == ("enable", "scram_sha512")
