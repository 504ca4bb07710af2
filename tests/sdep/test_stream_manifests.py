"""The manifests of both runtimes match the code, Seldon's operator and each other."""

from __future__ import annotations

import json

import pytest

from seldon_kafka.config.settings import Settings, SettingsError, load_settings
from seldon_kafka.messages import Record
from seldon_kafka.topics.wanted import Topic, wanted_topics
from tests.support.manifests import (
    OVERLAYS,
    ROOT,
    Document,
    component,
    deployment,
    documents,
    environ,
    of_kind,
    overlay,
    predictor,
    topics_of,
)

NATIVE = [name for name in OVERLAYS if name.startswith("native")]
EXECUTOR = [name for name in OVERLAYS if name.startswith("executor")]
# Seldon's operator replaces names that are longer than Kubernetes allows.
LONGEST_NAME = 63


def pod(name: str, of: str = "default") -> Document:
    """Returns the specification of the pods of an overlay's predictor."""
    return dict(component(deployment(name), of)["spec"])


def container(name: str, of: str = "default") -> Document:
    """Returns the model's container."""
    (found,) = [each for each in pod(name, of)["containers"] if each["name"] == "classifier"]
    return dict(found)


def native_settings(name: str = "native", of: str = "default") -> Settings:
    """Returns the settings that a worker of a native overlay's predictor reads."""
    return load_settings(environ(container(name, of), overlay(name)))


def wanted_of(settings: Settings, *names: str) -> list[Topic]:
    """Returns topics of the command line with these names, in their order."""
    wanted = {topic.name: topic for topic in wanted_topics(settings, brokers=3)}
    return [wanted[name] for name in names]


def executors_environ(name: str) -> dict[str, str]:
    """Returns the environment variables of Seldon's executor."""
    return environ(predictor(deployment(name))["svcOrchSpec"], overlay(name))


@pytest.mark.parametrize("name", NATIVE)
def test_every_variable_of_a_worker_is_a_setting(name: str) -> None:
    variables = environ(container(name), overlay(name))
    assert load_settings(variables).broker
    with pytest.raises(SettingsError, match="KAFKA_BROKERS"):
        load_settings({**variables, "KAFKA_BROKERS": "b:1"})


@pytest.mark.parametrize("name", NATIVE)
def test_a_native_deployment_has_no_executor(name: str) -> None:
    found = deployment(name)
    assert "serverType" not in found["spec"]
    assert "svcOrchSpec" not in predictor(found)
    # On the object or on its spec the annotation has no effect.
    assert predictor(found)["annotations"] == {"seldon.io/no-engine": "true"}
    assert "annotations" not in found["metadata"]
    assert "seldon.io/no-engine" not in found["spec"].get("annotations", {})


@pytest.mark.parametrize("name", EXECUTOR)
def test_only_the_executors_container_has_kafka_variables(name: str) -> None:
    assert deployment(name)["spec"]["serverType"] == "kafka"
    assert not [key for key in environ(container(name), overlay(name)) if key.startswith("KAFKA")]
    assert {"KAFKA_BROKER", "KAFKA_INPUT_TOPIC", "KAFKA_OUTPUT_TOPIC"} <= set(
        executors_environ(name)
    )


def test_both_runtimes_use_the_same_topics() -> None:
    native = native_settings()
    executor = load_settings(executors_environ("executor"))
    assert (executor.broker, executor.input_topic, executor.output_topic) == (
        native.broker,
        native.input_topic,
        native.output_topic,
    )


@pytest.mark.parametrize("name", NATIVE + EXECUTOR)
def test_the_probes_use_the_supervisors_port_which_the_container_opens(name: str) -> None:
    settings = native_settings()
    assert settings.http_host == "0.0.0.0"
    (port,) = container(name)["ports"]
    assert (port["name"], port["containerPort"]) == ("status", settings.http_port)
    for probe, path in (("livenessProbe", "/live"), ("readinessProbe", "/ready")):
        get = container(name)[probe]["httpGet"]
        assert get == {"path": path, "port": settings.http_port}


@pytest.mark.parametrize("name", NATIVE)
def test_a_replica_has_enough_time_to_stop_and_no_pre_stop_sleep(name: str) -> None:
    assert pod(name)["terminationGracePeriodSeconds"] > native_settings(name).stop_timeout_s
    # Otherwise the operator adds a sleep of 10 s.
    assert container(name)["lifecycle"] == {}


def test_the_model_outlives_the_executor() -> None:
    # The operator adds a sleep, during which the executor still calls the model.
    assert "lifecycle" not in container("executor")


@pytest.mark.parametrize("name", NATIVE)
def test_the_worker_id_is_the_pods_name_and_the_state_outlives_the_container(name: str) -> None:
    settings = native_settings(name)
    assert settings.worker_id == "metadata.name"
    mounts = {each["mountPath"]: each["name"] for each in container(name)["volumeMounts"]}
    volumes = {each["name"]: each for each in pod(name)["volumes"]}
    assert "emptyDir" in volumes[mounts[settings.state_dir]]


@pytest.mark.parametrize("name", NATIVE + EXECUTOR)
def test_the_root_is_read_only_and_no_volume_hides_the_script(name: str) -> None:
    assert container(name)["securityContext"]["readOnlyRootFilesystem"] is True
    (script,) = container(name)["command"]
    mounts = [each["mountPath"] for each in container(name)["volumeMounts"]]
    assert "/tmp" in mounts
    assert not [mount for mount in mounts if script.startswith(f"{mount}/")]


@pytest.mark.parametrize("name", NATIVE + EXECUTOR)
def test_pods_are_spread_by_a_label_of_the_pods(name: str) -> None:
    labels = predictor(deployment(name))["labels"]
    for constraint in pod(name)["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("name", NATIVE + EXECUTOR)
def test_one_budget_counts_the_pods(name: str) -> None:
    # The operator's budget counts all predictors' pods. A pod with two budgets is not evicted.
    components = [
        each for one in deployment(name)["spec"]["predictors"] for each in one["componentSpecs"]
    ]
    assert len([each for each in components if "pdbSpec" in each]) == 1


@pytest.mark.parametrize("name", NATIVE + EXECUTOR)
def test_the_names_of_the_operators_objects_are_short_enough(name: str) -> None:
    found = deployment(name)
    parts = (found["metadata"]["name"], predictor(found)["name"], "0", container(name)["name"])
    assert len("-".join(parts)) <= LONGEST_NAME


@pytest.mark.parametrize("name", NATIVE + EXECUTOR)
def test_a_changed_setting_changes_the_pods(name: str) -> None:
    names = [each["metadata"]["name"] for each in of_kind(overlay(name), "ConfigMap")]
    (made,) = [each for each in names if each.startswith("kmnist-stream-")]
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


def test_canary_and_stable_predictor_answer_each_message_once_at_any_time() -> None:
    stable, canary = (native_settings("native-canary", of) for of in ("default", "canary"))
    assert stable.group_id != canary.group_id
    assert (stable.input_topic, stable.output_topic) == (canary.input_topic, canary.output_topic)
    ((changed_ms, _),) = stable.share.changes
    answered = {"stable": 0, "canary": 0}
    for number in range(1000):
        for time_ms in (changed_ms - 1, changed_ms):
            record = Record("in", 0, number, int(time_ms), b"key-%d" % number, b"", ())
            assert stable.share.has(record) != canary.share.has(record)
        answered["canary" if canary.share.has(record) else "stable"] += 1
    predictors = deployment("native-canary")["spec"]["predictors"]
    assert [each["traffic"] for each in predictors] == [90, 10]
    assert 60 < answered["canary"] < 140


def test_a_shadow_has_a_group_and_topics_of_its_own() -> None:
    stable, shadow = (native_settings("native-shadow", of) for of in ("default", "shadow"))
    assert stable.group_id != shadow.group_id
    assert stable.input_topic == shadow.input_topic
    made = topics_of(documents("components/shadow/topics.yaml"))
    assert made == wanted_of(shadow, shadow.output_topic, shadow.dead_letter_topic)
    assert not {stable.output_topic, stable.dead_letter_topic} & {
        shadow.output_topic,
        shadow.dead_letter_topic,
    }


def test_the_request_logs_topic_and_entries_match_the_code() -> None:
    settings = native_settings("native-request-log")
    assert settings.log_requests
    made = topics_of(documents("components/request-log/topic.yaml"))
    assert made == wanted_of(settings, settings.log_topic)
    variables = environ(container("native-request-log"), overlay("native-request-log"))
    assert variables["POD_NAMESPACE"] == "metadata.namespace"


@pytest.mark.parametrize("of", ["canary", "shadow"])
def test_a_second_predictor_is_another_class_with_the_same_rights(of: str) -> None:
    name = f"native-{of}"
    assert environ(container(name, of), overlay(name))["MODEL_NAME"] == "wrapper.KmnistBaseline"
    assert pod(name, of)["securityContext"] == pod(name)["securityContext"]
    assert container(name, of)["securityContext"] == container(name)["securityContext"]


# The operator's Services, by name, with the ports of REST and gRPC (docs/kubernetes.md).
OPERATORS_SERVICES = {"kmnist-default": {9000, 9500}}


@pytest.mark.parametrize("name", ["native-ingress", "native-istio"])
def test_each_entry_point_leads_to_ports_of_services(name: str) -> None:
    ours = {
        each["metadata"]["name"]: {port["port"] for port in each["spec"]["ports"]}
        for each in of_kind(overlay(name), "Service")
    }
    services = {**OPERATORS_SERVICES, **ours}
    backends = [
        (path["backend"]["service"]["name"], path["backend"]["service"]["port"]["number"])
        for each in of_kind(overlay(name), "Ingress")
        for rule in each["spec"]["rules"]
        for path in rule["http"]["paths"]
    ] + [
        (route["destination"]["host"], route["destination"]["port"]["number"])
        for each in of_kind(overlay(name), "VirtualService")
        for rule in each["spec"]["http"]
        for route in rule["route"]
    ]
    assert backends
    for host, port in backends:
        assert port in services[host]
    (service,) = of_kind(overlay(name), "Service")
    # The operator's label of the default predictor's pods.
    assert service["spec"]["selector"] == {"seldon-app": "kmnist-default"}
    (target,) = [each["targetPort"] for each in service["spec"]["ports"]]
    assert target in [port["name"] for port in container(name)["ports"]]


@pytest.mark.parametrize(
    ("ingress", "request_path"),
    [
        ("kmnist", "/api/v1.0/predictions"),
        ("kmnist", "/v2/models/kmnist/infer"),
        ("kmnist-grpc", f"/{json.loads((ROOT / 'bench/rest/ghz.json').read_text())['call']}"),
    ],
)
def test_the_ingress_has_a_path_for_each_request_of_clients(
    ingress: str, request_path: str
) -> None:
    (found,) = [
        each
        for each in of_kind(overlay("native-ingress"), "Ingress")
        if each["metadata"]["name"] == ingress
    ]
    asked = request_path.strip("/").split("/")
    # `Prefix` compares paths element by element.
    prefixes = [
        [part for part in path["path"].split("/") if part]
        for rule in found["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]
    assert any(asked[: len(prefix)] == prefix for prefix in prefixes)
