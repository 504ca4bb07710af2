"""Both ways between the topics agree with the code, with Seldon's operator and with each other."""

from __future__ import annotations

import pytest

from kafka.settings import Settings, SettingsError, load_settings
from tests.sdep.manifests import (
    OVERLAYS,
    Document,
    component,
    deployment,
    environ,
    of_kind,
    overlay,
    predictor,
)

NATIVE = [name for name in OVERLAYS if name.startswith("native")]
EXECUTOR = [name for name in OVERLAYS if name.startswith("executor")]
# Kubernetes cuts longer names off, and Seldon's operator then makes one that nobody recognises.
LONGEST_NAME = 63


def pod(name: str) -> Document:
    """The specification of an overlay's pods."""
    return dict(component(deployment(name))["spec"])


def container(name: str) -> Document:
    """The model's container."""
    (found,) = pod(name)["containers"]
    return dict(found)


def native_settings(name: str = "native") -> Settings:
    """What a worker of a native overlay reads from its environment."""
    return load_settings(environ(container(name), overlay(name)), use_local_cluster=False)


def executors_environ(name: str) -> dict[str, str]:
    """What Seldon's executor finds in its environment."""
    return environ(predictor(deployment(name))["svcOrchSpec"], overlay(name))


@pytest.mark.parametrize("name", NATIVE)
def test_every_variable_of_a_worker_is_a_setting(name: str) -> None:
    variables = environ(container(name), overlay(name))
    assert load_settings(variables, use_local_cluster=False).broker
    with pytest.raises(SettingsError, match="KAFKA_BROKERS"):
        load_settings({**variables, "KAFKA_BROKERS": "b:1"}, use_local_cluster=False)


@pytest.mark.parametrize("name", NATIVE)
def test_a_native_deployment_has_no_executor(name: str) -> None:
    found = deployment(name)
    assert "serverType" not in found["spec"]
    assert "svcOrchSpec" not in predictor(found)
    # On the object or on its spec it would do nothing.
    assert predictor(found)["annotations"] == {"seldon.io/no-engine": "true"}
    assert "annotations" not in found["metadata"]
    assert "annotations" not in found["spec"]


@pytest.mark.parametrize("name", EXECUTOR)
def test_behind_the_executor_only_its_own_container_is_told_of_kafka(name: str) -> None:
    assert deployment(name)["spec"]["serverType"] == "kafka"
    assert not [key for key in environ(container(name), overlay(name)) if key.startswith("KAFKA")]
    assert {"KAFKA_BROKER", "KAFKA_INPUT_TOPIC", "KAFKA_OUTPUT_TOPIC"} <= set(
        executors_environ(name)
    )


def test_both_ways_stand_between_the_same_topics() -> None:
    native = native_settings()
    executor = load_settings(executors_environ("executor"), use_local_cluster=False)
    assert (executor.broker, executor.input_topic, executor.output_topic) == (
        native.broker,
        native.input_topic,
        native.output_topic,
    )


@pytest.mark.parametrize("name", NATIVE + EXECUTOR)
def test_the_probes_ask_the_supervisor_on_a_port_that_the_container_opens(name: str) -> None:
    settings = native_settings()
    assert settings.http_host == "0.0.0.0"
    (port,) = container(name)["ports"]
    assert (port["name"], port["containerPort"]) == ("status", settings.http_port)
    for probe, path in (("livenessProbe", "/live"), ("readinessProbe", "/ready")):
        get = container(name)[probe]["httpGet"]
        assert get == {"path": path, "port": settings.http_port}


@pytest.mark.parametrize("name", NATIVE)
def test_a_replica_has_the_time_and_the_quiet_to_leave(name: str) -> None:
    assert pod(name)["terminationGracePeriodSeconds"] > native_settings(name).stop_timeout_s
    # Or the operator puts a sleep of 10 s there.
    assert container(name)["lifecycle"] == {}


def test_behind_the_executor_the_model_outlives_it() -> None:
    # The operator's sleep: until then the executor goes on asking the model.
    assert "lifecycle" not in container("executor")


@pytest.mark.parametrize("name", NATIVE)
def test_a_replica_is_named_by_its_pod_and_its_state_outlives_the_container(name: str) -> None:
    settings = native_settings(name)
    assert settings.worker_id == "metadata.name"
    mounts = {each["mountPath"]: each["name"] for each in container(name)["volumeMounts"]}
    volumes = {each["name"]: each for each in pod(name)["volumes"]}
    assert "emptyDir" in volumes[mounts[settings.state_dir]]


@pytest.mark.parametrize("name", NATIVE + EXECUTOR)
def test_the_root_is_read_only_and_the_script_lies_where_no_volume_hides_it(name: str) -> None:
    assert container(name)["securityContext"]["readOnlyRootFilesystem"] is True
    (script,) = container(name)["command"]
    mounts = [each["mountPath"] for each in container(name)["volumeMounts"]]
    assert "/tmp" in mounts
    assert not [mount for mount in mounts if script.startswith(f"{mount}/")]


@pytest.mark.parametrize("name", NATIVE + EXECUTOR)
def test_pods_are_spread_by_a_label_that_reaches_them(name: str) -> None:
    labels = predictor(deployment(name))["labels"]
    for constraint in pod(name)["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("name", NATIVE + EXECUTOR)
def test_the_operator_can_name_what_it_makes(name: str) -> None:
    found = deployment(name)
    parts = (found["metadata"]["name"], predictor(found)["name"], "0", container(name)["name"])
    assert len("-".join(parts)) <= LONGEST_NAME


@pytest.mark.parametrize("name", NATIVE + EXECUTOR)
def test_a_changed_setting_changes_the_pods(name: str) -> None:
    (config,) = of_kind(overlay(name), "ConfigMap")
    made = config["metadata"]["name"]
    assert made.startswith("kmnist-stream-")
    spec = predictor(deployment(name))
    assert made in str(spec["svcOrchSpec"] if name in EXECUTOR else container(name)["envFrom"])


def test_passwords_and_authorities_come_from_secrets() -> None:
    settings = native_settings("native-sasl-ssl")
    assert (settings.security_protocol, settings.sasl_mechanism) == ("sasl_ssl", "SCRAM-SHA-512")
    assert settings.sasl_password == "kmnist/password"
    mounts = {
        each["name"]: each["mountPath"] for each in container("native-sasl-ssl")["volumeMounts"]
    }
    (volume,) = [each for each in pod("native-sasl-ssl")["volumes"] if "secret" in each]
    (item,) = volume["secret"]["items"]
    assert settings.ssl_ca_cert_file == f"{mounts[volume['name']]}/{item['path']}"
