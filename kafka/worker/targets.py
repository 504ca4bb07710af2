"""Looks up the topics that the worker writes to; it never makes one."""

from __future__ import annotations

from typing import Any, Dict, Iterable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from kafka.clients import admin_config, most_bytes
from kafka.refusal import explained
from kafka.replies import Target
from kafka.settings import Settings

_REQUEST_S = 5.0
# Kafka's default for max.message.bytes, for where we may not ask.
_DEFAULT_MAX_BYTES = 1024 * 1024 + 12


class TopicMissing(Exception):
    """A topic is not there; the message says how to make it."""


def look_up(settings: Settings, names: Iterable[str]) -> Dict[str, Target]:
    """Partitions and size limits of topics.

    Raises:
        TopicMissing: one of them does not exist.
        KafkaException: the brokers don't answer, or refuse us.
    """
    config = admin_config(settings)
    admin = AdminClient(config)
    # All topics are listed, since asking for one by name makes it on some brokers.
    try:
        listed = admin.list_topics(timeout=_REQUEST_S).topics
    except KafkaException as error:
        raise explained(error, config) from error
    found = {}
    for name in names:
        if name not in listed or not listed[name].partitions:
            raise TopicMissing(
                f"topic {name} is not there; make it with `python -m kafka.topics create`"
            )
        most = min(_max_bytes(admin, name), most_bytes(settings))
        found[name] = Target(name, len(listed[name].partitions), most)
    return found


def _max_bytes(admin: Any, name: str) -> int:
    resource = ConfigResource(ResourceType.TOPIC, name)
    try:
        described = admin.describe_configs([resource], request_timeout=_REQUEST_S)
        return int(described[resource].result()["max.message.bytes"].value)
    except KafkaException:
        # Not allowed to ask; the broker itself still refuses what is too large.
        return _DEFAULT_MAX_BYTES
