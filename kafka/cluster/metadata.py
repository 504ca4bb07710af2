"""What the brokers say of themselves."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from kafka.cluster.placement import Placement

MIN_IN_SYNC = "min.insync.replicas"

# A broker that is not there yet is what callers wait for, not something to report.
QUIET = logging.getLogger("kafka.cluster.client")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


def admin_client(client: Mapping[str, Any]) -> Any:
    """A client for administration that is patient and silent.

    Args:
        client: The librdkafka properties that every client of the cluster needs.
    """
    return AdminClient(
        {
            **client,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 200,
            "socket.timeout.ms": 10000,
        },
        logger=QUIET,
    )


def live_brokers(client: Mapping[str, Any]) -> set[int]:
    """The brokers that the cluster counts as alive; none where nobody answers."""
    try:
        return set(admin_client(client).list_topics(timeout=2).brokers)
    except KafkaException:
        return set()


def placements(admin: Any) -> list[Placement]:
    """Every partition of the cluster and its replicas."""
    return [
        Placement(topic.topic, partition.id, tuple(partition.replicas))
        for topic in admin.list_topics(timeout=10).topics.values()
        for partition in topic.partitions.values()
    ]


def min_in_sync(admin: Any, topics: Sequence[str]) -> dict[str, int]:
    """How many replicas must have a record before it counts, for each topic."""
    if not topics:
        return {}
    asked = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    return {
        resource.name: int(answer.result()[MIN_IN_SYNC].value)
        for resource, answer in admin.describe_configs(asked).items()
    }
