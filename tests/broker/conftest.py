"""A local cluster for all tests of a run, and topics for each test."""

from __future__ import annotations

import os
import re
import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from kafka.cluster.lease import leased
from kafka.cluster.local import Cluster
from seldon_kafka.topics.manage import await_usable, create
from seldon_kafka.topics.wanted import wanted_topics
from tests.support.stream import Stream

# A shell starts background processes with SIGINT ignored. The programs that tests start would
# inherit that, and miss the tests' Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Each secured cluster is started once, by the one process that runs all of its tests.
SASL_SSL = pytest.mark.xdist_group("sasl_ssl cluster")
SSL = pytest.mark.xdist_group("ssl cluster")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one broker for all pytest-xdist workers.

    It ends with the last worker, even if that is killed.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    with leased(root / "kafka-cluster") as shared:
        yield shared


@pytest.fixture(scope="session")
def sasl_ssl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one broker that requires a password, over TLS."""
    with leased(tmp_path_factory.mktemp("sasl_ssl"), security="sasl_ssl") as secured:
        yield secured


@pytest.fixture(scope="session")
def ssl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one broker that requires a certificate."""
    with leased(tmp_path_factory.mktemp("ssl"), security="ssl") as secured:
        yield secured


@pytest.fixture(scope="session")
def in_docker() -> Iterator[str]:
    """Bootstrap servers of a broker in a container, one for each pytest-xdist worker."""
    from tests.support.broker_container import IMAGE, broker_in_docker

    with broker_in_docker(IMAGE) as servers:
        yield servers


@pytest.fixture
def bootstrap(request: pytest.FixtureRequest) -> str:
    """Bootstrap servers of the shared cluster, or of the image in `BROKER_IMAGE`."""
    if os.environ.get("BROKER_IMAGE"):
        return str(request.getfixturevalue("in_docker"))
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.bootstrap


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A unique name for topics, groups and transactional ids."""
    test = re.sub(r"[^A-Za-z0-9_-]", "-", request.node.name)[:60]
    return f"{test}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def new_topic(bootstrap: str, name: str) -> Iterator[Callable[..., str]]:
    """Creates topics that are deleted after the test: `new_topic("in", partitions=3)`."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    made: set[str] = set()

    def make(suffix: str = "", partitions: int = 1, **config: str) -> str:
        topic = f"{name}-{suffix}" if suffix else name
        settings = {key.replace("_", "."): value for key, value in config.items()}
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=settings)
        admin.create_topics([new])[topic].result()
        await_usable(admin, [topic])
        made.add(topic)
        return topic

    yield make
    if made:
        for future in admin.delete_topics(list(made)).values():
            future.result()


@pytest.fixture
def cluster_folder(tmp_path: Path) -> Path:
    """A folder for a cluster of a single test."""
    return tmp_path / "cluster"


@pytest.fixture
def new_stream(
    bootstrap: str, name: str, new_topic: Callable[..., str], tmp_path: Path
) -> Iterator[Callable[..., Stream]]:
    """Creates topics and settings: `new_stream(partitions=3, max_message_bytes="2000000")`."""
    streams: list[Stream] = []

    def make(partitions: int = 3, output: bool = True, **config: str) -> Stream:
        # The tests' messages have old, different timestamps, so retention must not delete them.
        config.setdefault("retention_ms", "-1")
        new_topic("in", partitions=partitions, **config)
        new_topic("dead", partitions=partitions, **config)
        if output:
            new_topic("out", partitions=partitions, retention_ms="-1")
        folder = tmp_path / "logs"
        folder.mkdir()
        environ = {
            "KAFKA_BROKER": bootstrap,
            "KAFKA_INPUT_TOPIC": f"{name}-in",
            "KAFKA_OUTPUT_TOPIC": f"{name}-out",
            "KAFKA_DEAD_LETTER_TOPIC": f"{name}-dead",
            "KAFKA_FEEDBACK_TOPIC": f"{name}-feedback",
            "KAFKA_LOG_TOPIC": f"{name}-log",
            "KAFKA_GROUP_ID": name,
            "KAFKA_STATE_DIR": str(tmp_path / "state"),
            "KAFKA_HTTP_PORT": "0",
        }
        streams.append(Stream(environ, folder, partitions))
        return streams[-1]

    yield make
    for stream in streams:
        stream.stop()


@pytest.fixture
def new_stream_on(name: str, tmp_path: Path) -> Iterator[Callable[..., Stream]]:
    """Creates topics on a secured cluster, and settings with its operator's rights."""
    streams: list[Stream] = []

    def make(cluster: Cluster, **more: str) -> Stream:
        environ = {
            **cluster.client_environment(),
            **more,
            "KAFKA_INPUT_TOPIC": f"{name}-in",
            "KAFKA_OUTPUT_TOPIC": f"{name}-out",
            "KAFKA_DEAD_LETTER_TOPIC": f"{name}-dead",
            "KAFKA_FEEDBACK_TOPIC": f"{name}-feedback",
            "KAFKA_LOG_TOPIC": f"{name}-log",
            "KAFKA_GROUP_ID": name,
            "KAFKA_STATE_DIR": str(tmp_path / "state"),
            "KAFKA_HTTP_PORT": "0",
        }
        logs = tmp_path / "logs"
        logs.mkdir()
        streams.append(Stream(environ, logs, partitions=3))
        create(
            streams[-1].admin(),
            [
                # The messages' timestamps are of 2023, so retention would delete them.
                replace(topic, config={**topic.config, "retention.ms": "-1"})
                for topic in wanted_topics(streams[-1].settings, 1, partitions=3)
            ],
        )
        return streams[-1]

    yield make
    for stream in streams:
        stream.stop()
