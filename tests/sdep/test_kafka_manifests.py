"""The Strimzi cluster has the required settings, and its topics and users match the code."""

from __future__ import annotations

import pytest

from kafka.cluster.properties import TAKE_OVER
from seldon_kafka.config.rights import ROLES, Right
from seldon_kafka.topics.wanted import wanted_topics
from tests.sdep.test_stream_manifests import native_settings
from tests.support.manifests import Document, of_kind, overlay, topics_of

ROLES_OF_USERS = {
    "kmnist": ("worker", "feedback"),
    "camera": ("producer",),
    "viewer": ("consumer",),
    "page": ("dashboard",),
}
_TYPES = {"topic": "Topic", "group": "Group", "transactionalId": "TransactionalId"}


def cluster(name: str = "kafka") -> Document:
    (found,) = of_kind(overlay(name), "Kafka")
    return found


def topics(name: str = "kafka") -> list[Document]:
    return of_kind(overlay(name), "KafkaTopic")


@pytest.mark.parametrize(("name", "brokers"), [("kafka", 3), ("kafka-single", 1)])
def test_the_topics_equal_those_of_the_command_line(name: str, brokers: int) -> None:
    wanted = wanted_topics(native_settings(), brokers)
    assert topics_of(overlay(name)) == sorted(wanted, key=lambda topic: topic.name)


@pytest.mark.parametrize(
    ("kafka", "native"),
    [("kafka", "native"), ("kafka-single", "native"), ("kafka-sasl-ssl", "native-sasl-ssl")],
)
def test_clients_and_topics_and_users_and_pools_name_the_created_cluster(
    kafka: str, native: str
) -> None:
    name = cluster(kafka)["metadata"]["name"]
    (listener,) = cluster(kafka)["spec"]["kafka"]["listeners"]
    assert native_settings(native).broker == f"{name}-kafka-bootstrap.kmnist.svc:{listener['port']}"
    for document in overlay(kafka):
        if document["kind"] in ("KafkaTopic", "KafkaNodePool", "KafkaUser"):
            assert document["metadata"]["labels"]["strimzi.io/cluster"] == name


@pytest.mark.parametrize("name", ["kafka", "kafka-single", "kafka-sasl-ssl"])
def test_the_cluster_has_the_settings_for_a_quick_take_over(name: str) -> None:
    config = cluster(name)["spec"]["kafka"]["config"]
    assert {key: config.get(key) for key in TAKE_OVER} == dict(TAKE_OVER)


@pytest.mark.parametrize(
    ("name", "copies", "confirmed", "roles"),
    [
        ("kafka", "3", "2", {"controller": 3, "broker": 3}),
        ("kafka-single", "1", "1", {"controller": 1, "broker": 1}),
    ],
)
def test_the_cluster_tolerates_the_failure_of_a_node_unless_it_has_only_one(
    name: str, copies: str, confirmed: str, roles: dict[str, int]
) -> None:
    config = cluster(name)["spec"]["kafka"]["config"]
    for key in ("default", "offsets.topic", "transaction.state.log"):
        assert config[f"{key}.replication.factor"] == copies
    for key in ("min.insync.replicas", "transaction.state.log.min.isr"):
        assert config[key] == confirmed
    replicas = {"controller": 0, "broker": 0}
    for pool in of_kind(overlay(name), "KafkaNodePool"):
        for role in pool["spec"]["roles"]:
            replicas[role] += pool["spec"]["replicas"]
    assert replicas == roles


def test_the_brokers_accept_the_largest_dead_letter() -> None:
    config = cluster()["spec"]["kafka"]["config"]
    largest = max(int(topic["spec"]["config"]["max.message.bytes"]) for topic in topics())
    assert largest <= int(config["message.max.bytes"]) <= int(config["replica.fetch.max.bytes"])


def test_each_user_has_only_the_rights_of_its_roles() -> None:
    settings = native_settings()
    found = of_kind(overlay("kafka-sasl-ssl"), "KafkaUser")
    assert {user["metadata"]["name"] for user in found} == set(ROLES_OF_USERS)
    for user in found:
        roles = ROLES_OF_USERS[user["metadata"]["name"]]
        wanted = {_line(right) for role in roles for right in ROLES[role](settings)}
        lines = [
            (_TYPES[acl["resource"]["type"]], acl["resource"]["name"], operation,
             acl["resource"].get("patternType") == "prefix")
            for acl in user["spec"]["authorization"]["acls"]
            for operation in acl["operations"]
        ]  # fmt: skip
        assert sorted(lines) == sorted(wanted)


def _line(right: Right) -> tuple[str, str, str, bool]:
    return right.resource, right.name, right.operation, right.prefixed


def test_the_workers_use_the_user_that_is_created_for_them() -> None:
    settings = native_settings("native-sasl-ssl")
    (user,) = [
        each
        for each in of_kind(overlay("kafka-sasl-ssl"), "KafkaUser")
        if each["metadata"]["name"] == settings.sasl_username
    ]
    assert user["spec"]["authentication"]["type"] == settings.sasl_mechanism.lower()


@pytest.mark.parametrize("name", ["kafka-monitored", "kind-kafka"])
def test_the_pod_monitor_selects_strimzis_exporter(name: str) -> None:
    assert "kafkaExporter" in cluster(name)["spec"]
    (monitor,) = of_kind(overlay(name), "PodMonitor")
    # Strimzi sets this label on the exporter's pods.
    made = f"{cluster(name)['metadata']['name']}-kafka-exporter"
    assert monitor["spec"]["selector"]["matchLabels"] == {"strimzi.io/name": made}
