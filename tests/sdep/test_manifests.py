"""The manifests are what operators and Kubernetes take, and the stream's agree with the code."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest

from kafka.cluster.properties import TAKE_OVER
from kafka.settings import Settings, SettingsError, load_settings
from kafka.topics.wanted import wanted_topics
from tests.sdep.crd import Definitions
from tests.sdep.manifests import (
    FILES,
    FOLDER,
    Document,
    containers,
    documents,
    environ,
    of_kind,
    pods,
)

CRD_DIR = os.environ.get("CRD_DIR")

needs_definitions = pytest.mark.skipif(
    not CRD_DIR, reason="CRD_DIR does not name a folder of custom resource definitions"
)


def predictor(file: str) -> Document:
    (found,) = documents(file)[0]["spec"]["predictors"]
    return dict(found)


def pod(file: str) -> Document:
    (component,) = predictor(file)["componentSpecs"]
    return dict(component["spec"])


def container(file: str) -> Document:
    (found,) = pod(file)["containers"]
    return dict(found)


def native_settings() -> Settings:
    return load_settings(environ(container("native.yaml")["env"]), use_local_cluster=False)


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return Definitions(Path(str(CRD_DIR)))


def test_the_manifests_are_the_streams_those_that_make_networks_and_other_servers() -> None:
    stream = {"alerts.yaml", "executor.yaml", "kafka.yaml", "native.yaml", "topics.yaml"}
    making = {"build.yaml", "tensorboard.yaml", "train.yaml"}
    servers = {"explainer.yaml", "graph.yaml", "tensorflow.yaml", "triton.yaml"}
    assert set(FILES) == stream | making | servers


@needs_definitions
@pytest.mark.parametrize("file", FILES)
def test_every_document_is_what_its_definition_asks_for(
    definitions: Definitions, file: str
) -> None:
    for document in documents(file):
        assert definitions.errors(document) == []


def _misspell(document: Document, path: tuple[str | int, ...], wrong: str) -> None:
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[wrong] = place.pop(path[-1])


_POD = ("spec", "predictors", 0, "componentSpecs", 0, "spec")
_CONTAINER = (*_POD, "containers", 0)
_GRAPH = ("spec", "predictors", 0, "graph")
_TEMPLATE = ("spec", "template", "spec")


@needs_definitions
@pytest.mark.parametrize(
    ("file", "path", "wrong"),
    [
        ("native.yaml", ("spec", "predictors"), "predictor"),
        ("native.yaml", ("spec", "predictors", 0, "replicas"), "replica"),
        ("native.yaml", ("metadata", "labels"), "label"),
        ("native.yaml", (*_POD, "enableServiceLinks"), "enableServiceLink"),
        ("native.yaml", (*_CONTAINER, "livenessProbe", "httpGet", "port"), "prot"),
        ("native.yaml", (*_CONTAINER, "env", 0, "value"), "values"),
        ("native.yaml", (*_CONTAINER, "securityContext", "capabilities"), "capability"),
        ("executor.yaml", ("spec", "predictors", 0, "svcOrchSpec"), "svcOrchSpecs"),
        ("executor.yaml", ("spec", "serverType"), "servertype"),
        ("topics.yaml", ("spec", "partitions"), "partition"),
        ("kafka.yaml", ("spec", "kafka", "listeners", 0, "tls"), "tsl"),
        ("kafka.yaml", ("kind",), "kinds"),
        ("tensorflow.yaml", (*_GRAPH, "envSecretRefName"), "envSecretRef"),
        ("triton.yaml", (*_GRAPH, "modelUri"), "modelURI"),
        ("graph.yaml", (*_GRAPH, "children"), "child"),
        ("explainer.yaml", (*_CONTAINER, "image"), "images"),
        ("alerts.yaml", ("spec", "podMetricsEndpoints", 0, "port"), "prot"),
        ("train.yaml", ("spec", "accessModes"), "accessMode"),
        ("tensorboard.yaml", (*_TEMPLATE, "containers", 0, "livenessProbe"), "liveness"),
        ("tensorboard.yaml", ("spec", "selector", "matchLabels"), "labels"),
        ("build.yaml", ("spec", "backoffLimit"), "backofLimit"),
        ("build.yaml", (*_TEMPLATE, "volumes", 0, "secret", "secretName"), "name"),
        ("build.yaml", (*_TEMPLATE, "containers", 0, "securityContext", "runAsUser"), "user"),
    ],
)
def test_a_misspelt_field_is_found(
    definitions: Definitions, file: str, path: tuple[str | int, ...], wrong: str
) -> None:
    document = copy.deepcopy(documents(file)[0])
    _misspell(document, path, wrong)
    assert definitions.errors(document)


@needs_definitions
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "predictors", 0, "replicas"), "two"),
        ((*_CONTAINER, "env", 0, "value"), 9092),
        ((*_CONTAINER, "resources", "limits", "memory"), "1 GB"),
        ((*_CONTAINER, "readinessProbe", "httpGet", "port"), 80.5),
        (("apiVersion",), "machinelearning.seldon.io/v9"),
    ],
)
def test_a_value_of_the_wrong_kind_is_found(
    definitions: Definitions, path: tuple[str | int, ...], value: Any
) -> None:
    document = copy.deepcopy(documents("native.yaml")[0])
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert definitions.errors(document)


@pytest.mark.parametrize(
    "variables",
    [
        container("native.yaml")["env"],
        predictor("executor.yaml")["svcOrchSpec"]["env"],
    ],
    ids=["native", "executor"],
)
def test_every_variable_of_the_manifests_is_a_setting(variables: list[Document]) -> None:
    assert load_settings(environ(variables), use_local_cluster=False).broker
    misspelt = {**environ(variables), "KAFKA_BROKERS": "b:1"}
    with pytest.raises(SettingsError, match="KAFKA_BROKERS"):
        load_settings(misspelt, use_local_cluster=False)


def test_both_deployments_stand_between_the_topics_that_topics_yaml_makes() -> None:
    made = {topic["spec"]["topicName"] for topic in of_kind("topics.yaml", "KafkaTopic")}
    native = native_settings()
    assert set(native.topics) == made
    executor = load_settings(
        environ(predictor("executor.yaml")["svcOrchSpec"]["env"]), use_local_cluster=False
    )
    assert executor.input_topic == native.input_topic
    assert executor.output_topic == native.output_topic
    assert executor.broker == native.broker


def test_the_topics_are_those_that_the_command_line_would_make() -> None:
    wanted = {topic.name: topic for topic in wanted_topics(native_settings(), brokers=3)}
    for document in of_kind("topics.yaml", "KafkaTopic"):
        spec = document["spec"]
        topic = wanted.pop(spec["topicName"])
        assert spec["partitions"] == topic.partitions
        assert spec["replicas"] == topic.replication
        assert spec["config"] == topic.config
    assert not wanted


def test_clients_topics_and_pools_name_the_cluster_that_kafka_yaml_makes() -> None:
    (cluster,) = of_kind("kafka.yaml", "Kafka")
    name = cluster["metadata"]["name"]
    (listener,) = cluster["spec"]["kafka"]["listeners"]
    assert native_settings().broker == f"{name}-kafka-bootstrap:{listener['port']}"
    for document in documents("topics.yaml") + of_kind("kafka.yaml", "KafkaNodePool"):
        assert document["metadata"]["labels"]["strimzi.io/cluster"] == name


def test_the_cluster_has_the_settings_that_a_quick_take_over_needs() -> None:
    (cluster,) = of_kind("kafka.yaml", "Kafka")
    config = cluster["spec"]["kafka"]["config"]
    assert {name: config.get(name) for name in TAKE_OVER} == dict(TAKE_OVER)


def test_any_broker_and_any_controller_may_die() -> None:
    (cluster,) = of_kind("kafka.yaml", "Kafka")
    config = cluster["spec"]["kafka"]["config"]
    for name in ("default", "offsets.topic", "transaction.state.log"):
        assert config[f"{name}.replication.factor"] == "3"
    for name in ("min.insync.replicas", "transaction.state.log.min.isr"):
        assert config[name] == "2"
    replicas = {"controller": 0, "broker": 0}
    for pool in of_kind("kafka.yaml", "KafkaNodePool"):
        for role in pool["spec"]["roles"]:
            replicas[role] += pool["spec"]["replicas"]
    assert replicas == {"controller": 3, "broker": 3}


def test_the_brokers_take_the_largest_dead_letter() -> None:
    (cluster,) = of_kind("kafka.yaml", "Kafka")
    config = cluster["spec"]["kafka"]["config"]
    largest = max(
        int(topic["spec"]["config"]["max.message.bytes"]) for topic in documents("topics.yaml")
    )
    assert largest <= int(config["message.max.bytes"]) <= int(config["replica.fetch.max.bytes"])


def test_behind_the_executor_only_its_own_container_is_told_of_kafka() -> None:
    assert documents("executor.yaml")[0]["spec"]["serverType"] == "kafka"
    assert not [name for name in environ(container("executor.yaml").get("env", [])) if "K" in name]
    told = environ(predictor("executor.yaml")["svcOrchSpec"]["env"])
    assert {"KAFKA_BROKER", "KAFKA_INPUT_TOPIC", "KAFKA_OUTPUT_TOPIC"} <= set(told)


def test_the_native_deployment_has_no_executor() -> None:
    assert "serverType" not in documents("native.yaml")[0]["spec"]
    assert predictor("native.yaml")["annotations"] == {"seldon.io/no-engine": "true"}
    assert "svcOrchSpec" not in predictor("native.yaml")


def test_the_probes_ask_the_supervisor() -> None:
    settings = native_settings()
    assert settings.http_host == "0.0.0.0"
    for probe, path in (("livenessProbe", "/live"), ("readinessProbe", "/ready")):
        get = container("native.yaml")[probe]["httpGet"]
        assert get == {"path": path, "port": settings.http_port}


def test_a_replica_has_the_time_and_the_quiet_to_leave() -> None:
    assert pod("native.yaml")["terminationGracePeriodSeconds"] > native_settings().stop_timeout_s
    assert container("native.yaml")["lifecycle"] == {}


def test_a_replica_is_named_by_its_pod_and_its_state_outlives_the_container() -> None:
    settings = native_settings()
    assert settings.worker_id == "metadata.name"
    (mount,) = container("native.yaml")["volumeMounts"]
    assert mount["mountPath"] == settings.state_dir
    (volume,) = pod("native.yaml")["volumes"]
    assert volume["name"] == mount["name"]
    assert "emptyDir" in volume


@pytest.mark.parametrize("file", FILES)
def test_everything_runs_without_root_and_rights_and_with_known_needs(file: str) -> None:
    for pod_ in pods(file):
        assert pod_["enableServiceLinks"] is False
        whole = pod_.get("securityContext", {})
        for each in containers(pod_):
            rights = {**whole, **each["securityContext"]}
            assert rights["runAsNonRoot"] is True
            assert rights["capabilities"]["drop"] == ["ALL"]
            assert rights.get("allowPrivilegeEscalation") is False or file == "build.yaml"
            assert set(each["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in each["resources"]["limits"]


@pytest.mark.parametrize("file", FILES)
def test_every_manifest_begins_by_saying_what_to_change(file: str) -> None:
    text = (FOLDER / file).read_text("utf-8")
    head = text.split("apiVersion:", 1)[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert "To change:" in head
