"""Reads brokers, partitions and topic settings from the brokers of a cluster."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from kafka.cluster.placement import Placement

MIN_IN_SYNC = "min.insync.replicas"

# Callers wait for brokers that are not ready yet, so connection errors are not logged.
QUIET = logging.getLogger("kafka.cluster.client")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


def admin_client(client: Mapping[str, Any]) -> Any:
    """Returns an `AdminClient` that reconnects quickly and logs nothing.

    Args:
        client: librdkafka properties for connections to the cluster.
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
    """Returns the ids of the live brokers; an empty set if no broker answers."""
    try:
        return set(admin_client(client).list_topics(timeout=2).brokers)
    except KafkaException:
        return set()


def placements(admin: Any) -> list[Placement]:
    """Returns the replicas of each partition of the cluster."""
    return [
        Placement(topic.topic, partition.id, tuple(partition.replicas))
        for topic in admin.list_topics(timeout=10).topics.values()
        for partition in topic.partitions.values()
    ]


def min_in_sync(admin: Any, topics: Sequence[str]) -> dict[str, int]:
    """Returns `min.insync.replicas` of each topic, by name of the topic."""
    if not topics:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    return {
        resource.name: int(future.result()[MIN_IN_SYNC].value)
        for resource, future in admin.describe_configs(resources).items()
    }
