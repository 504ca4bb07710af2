"""Runs the rig with a broker for its pods, and with all operators that the overlays need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from kafka.cluster.local import Cluster
from seldon_kafka.config.settings import load_settings
from seldon_kafka.topics.manage import await_usable, create
from seldon_kafka.topics.wanted import Topic, wanted_topics
from tests.image.conftest import images_trouble
from tests.kubernetes.figures import Figures
from tests.kubernetes.images import load_images
from tests.kubernetes.operators import start_keda, start_metrics_server, start_seldon
from tests.kubernetes.overlays import Variant, variant
from tests.kubernetes.rig import HOST, Rig, find_rig
from tests.kubernetes.stream_namespace import StreamNamespace

NewNamespace = Callable[[str], StreamNamespace]


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """Runs the cluster with Seldon's operator, KEDA and metrics-server; without it tests skip."""
    try:
        found = find_rig()
    except LookupError as error:
        pytest.skip(str(error))
    trouble = images_trouble()
    if trouble:
        pytest.skip(trouble)
    found.up()
    try:
        load_images(found)
        # All kinds that overlays use.
        found.define("*.yaml", "*.json")
        start_metrics_server(found)
        start_keda(found)
        start_seldon(found)
        yield found
    finally:
        found.down()


@pytest.fixture(scope="session")
def figures() -> Figures:
    """Returns the record of measurements."""
    return Figures()


@pytest.fixture(scope="session")
def broker(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Runs a broker at the address of this machine for pods."""
    with Cluster.start(tmp_path_factory.mktemp("kafka") / "cluster", host=HOST) as cluster:
        yield cluster.bootstrap


@pytest.fixture(scope="session")
def variants(broker: str) -> dict[str, Variant]:
    """Returns both runtimes, each with topics of its own."""
    found = {name: variant(name, broker) for name in ("native", "executor")}
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 2})
    # The default topics are for overlays that are deployed without changes.
    create(admin, wanted_topics(load_settings({"KAFKA_BROKER": broker}), brokers=1))
    for each in found.values():
        make_topics(admin, each)
    return found


def make_topics(admin: AdminClient, each: Variant) -> None:
    """Creates a variant's own topics; the output topic has the broker's timestamps."""
    settings = load_settings(each.environ)
    topics = [_timed(topic, each) for topic in wanted_topics(settings, brokers=1)]
    create(admin, [topic for topic in topics if topic.name != "model_feedback"])
    await_usable(admin, [each.input_topic, each.output_topic])


def _timed(topic: Topic, each: Variant) -> Topic:
    if topic.name != each.output_topic:
        return topic
    config = {**topic.config, "message.timestamp.type": "LogAppendTime"}
    return Topic(topic.name, topic.partitions, topic.replication, config)


@pytest.fixture
def new_namespace(rig: Rig, variants: dict[str, Variant], tmp_path: Path) -> Iterator[NewNamespace]:
    """Returns a function that creates the namespace of a runtime; it is cleared after the test."""
    namespaces: list[StreamNamespace] = []

    def make(name: str) -> StreamNamespace:
        namespaces.append(StreamNamespace(rig, variants[name], tmp_path))
        return namespaces[-1]

    yield make
    for namespace in namespaces:
        namespace.clear()
