"""Looks up the limits of output topics, and the access rights to them; never creates a topic."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, ConfigResource, ResourceType

from seldon_kafka.config.clients import admin_config, most_bytes, most_log_bytes
from seldon_kafka.config.refusal import Inquiry
from seldon_kafka.config.rights import (
    DESCRIBE_CONFIGS,
    READ,
    ROLES,
    TOPIC,
    WRITE,
    Right,
    RightMissing,
)
from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import JsonObject
from seldon_kafka.transport.output_messages import TopicLimits

# Shorter than `KAFKA_STOP_TIMEOUT_S`, so that a worker that waits for brokers stops in time.
_REQUEST_S = 3.0
_OPERATIONS = {
    READ: AclOperation.READ,
    WRITE: AclOperation.WRITE,
    DESCRIBE_CONFIGS: AclOperation.DESCRIBE_CONFIGS,
}


class TopicMissing(Exception):
    """A topic does not exist; the message says how to create it."""


def look_up(settings: Settings, names: Sequence[str], role: str) -> Dict[str, TopicLimits]:
    """Returns the limits of topics, by name.

    Args:
        settings: brokers, and the topics of the role.
        names: topics whose limits are returned.
        role: the role whose rights are needed, a key of `seldon_kafka.config.rights.ROLES`.

    Raises:
        TopicMissing: one of these topics, or of the role's topics, does not exist.
        RightMissing: a right of the role is missing.
        KafkaException: the brokers don't answer, or refuse the request.
    """
    inquiry = Inquiry(admin_config(settings))
    rights = [
        right
        for right in ROLES[role](settings)
        if right.resource == TOPIC and right.operation in _OPERATIONS
    ]
    described = _describe(inquiry, list(dict.fromkeys([*(r.name for r in rights), *names])))
    missing = [right for right in rights if not _is_allowed(right, described[right.name])]
    if missing:
        raise RightMissing(missing, role)
    return {
        name: _limits_of(inquiry, settings, name, len(described[name].partitions)) for name in names
    }


def _describe(inquiry: Inquiry, names: List[str]) -> JsonObject:
    """Returns the description of each topic, with the Kafka user's rights to it, by name.

    A topic that the user may not see has None instead.
    """
    # Unlike `list_topics` with a name, this request never creates the topic.
    futures = inquiry.admin.describe_topics(
        TopicCollection(names), include_authorized_operations=True, request_timeout=_REQUEST_S
    )
    inquiry.wait(futures.values())
    described: JsonObject = {}
    for name in names:
        try:
            described[name] = futures[name].result()
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise TopicMissing(
                    f"topic {name} does not exist; create it with `seldon-kafka topics create`"
                ) from error
            if code != KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise
            described[name] = None
    return described


def _is_allowed(right: Right, topic: Any) -> bool:
    if topic is None:
        # The user may neither read nor write the topic, because either right shows the topic.
        # Whether the user may read its configuration is not known, so that right is not missed.
        return right.operation == DESCRIBE_CONFIGS
    # Brokers older than 2.3 do not report rights.
    allowed = topic.authorized_operations
    return not allowed or _OPERATIONS[right.operation] in allowed


def _limits_of(inquiry: Inquiry, settings: Settings, name: str, partitions: int) -> TopicLimits:
    resource = ConfigResource(ResourceType.TOPIC, name)
    described = inquiry.admin.describe_configs([resource], request_timeout=_REQUEST_S)
    inquiry.wait(described.values())
    config = described[resource].result()
    allowed = int(config["max.message.bytes"].value)
    is_log = settings.log_requests and name == settings.log_topic
    max_bytes = min(allowed, most_log_bytes(settings) if is_log else most_bytes(settings))
    return TopicLimits(name, partitions, max_bytes, "compact" in config["cleanup.policy"].value)
