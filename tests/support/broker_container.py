"""A broker in a container, by testcontainers: the tests' other cluster.

`BROKER_IMAGE=apache/kafka:4.3.1 pytest tests/broker/test_worker.py` runs tests on it. Any image
takes the place that is configured by `KAFKA_*` as Apache Kafka's own is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from testcontainers.core.container import DockerContainer

from kafka.cluster.properties import TAKE_OVER
from tests.support.ports import free_ports
from tests.support.stream import wait_until

IMAGE = os.environ.get("BROKER_IMAGE", "")
_CONTROLLER_PORT = 9093
_START_S = 60


@contextmanager
def broker_in_docker(image: str) -> Iterator[str]:
    """Bootstrap servers of a new broker, with the settings that a quick take-over needs."""
    (port,) = free_ports(1)
    settings = {
        "node.id": "1",
        "process.roles": "broker,controller",
        "listeners": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://localhost:{_CONTROLLER_PORT}",
        # The same port inside and outside: clients are sent to what is advertised.
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": f"1@localhost:{_CONTROLLER_PORT}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "auto.create.topics.enable": "false",
        **TAKE_OVER,
    }
    container = DockerContainer(image)
    # Its own method for this would open the port to the world.
    container.ports[str(port)] = ("127.0.0.1", port)  # type: ignore[assignment]
    for name, value in settings.items():
        container = container.with_env(_variable(name), value)
    with container:
        servers = f"127.0.0.1:{port}"
        wait_until(lambda: _answers(servers), _START_S, f"a broker of {image} answers")
        yield servers


def _answers(servers: str) -> bool:
    # The engine's own proxy takes connections before the broker does.
    try:
        AdminClient({"bootstrap.servers": servers, "log_level": 0}).list_topics(timeout=1)
    except KafkaException:
        return False
    return True


def _variable(name: str) -> str:
    """A property's variable: dots become underscores (docker/README.md of Apache Kafka)."""
    return "KAFKA_" + name.upper().replace(".", "_")
