"""Creates topics, and adds partitions to them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Dict, List, Sequence, Tuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from seldon_kafka.config.rights import DESCRIBE, TOPIC, Right, RightMissing
from seldon_kafka.errors import CommandError
from seldon_kafka.topics.wanted import Topic, differences

_TIMEOUT_S = 10


class TopicError(CommandError):
    """A topic can't be created or changed; the text says what to do."""


@dataclass(frozen=True)
class CreationResult:
    """The result of `create` for one wanted topic.

    Attributes:
        topic: the wanted topic.
        created: whether `create` created the topic.
        differences: how an existing topic, which was not changed, differs from the wanted topic.
    """

    topic: Topic
    created: bool
    differences: Tuple[str, ...] = ()


def broker_count(admin: AdminClient) -> int:
    """Returns the number of live brokers."""
    return len(admin.list_topics(timeout=_TIMEOUT_S).brokers)


def existing(admin: AdminClient, names: Sequence[str]) -> Dict[str, Topic]:
    """Returns the named topics that exist, by name, with their whole configuration."""
    topics = admin.list_topics(timeout=_TIMEOUT_S).topics
    present = [name for name in names if name in topics]
    if not present:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in present]
    futures = admin.describe_configs(resources, request_timeout=_TIMEOUT_S)
    described = {}
    for resource, future in futures.items():
        partitions = topics[resource.name].partitions.values()
        described[resource.name] = Topic(
            name=resource.name,
            partitions=len(partitions),
            replication=min(len(p.replicas) for p in partitions),
            config={key: entry.value for key, entry in future.result().items()},
        )
    return described


def create(admin: AdminClient, wanted: Sequence[Topic]) -> List[CreationResult]:
    """Creates the wanted topics that do not exist, and does not change the others.

    Args:
        admin: a `confluent_kafka.admin.AdminClient`.
        wanted: the topics.

    Raises:
        TopicError: the brokers refuse a topic, or the user may not describe it; the topics before
            it in `wanted` are created. Or the topics are not ready after 10 s.
    """
    known = existing(admin, [topic.name for topic in wanted])
    results = []
    for topic in wanted:
        if topic.name not in known and _create(admin, topic):
            results.append(CreationResult(topic, created=True))
            continue
        present = known.get(topic.name) or existing(admin, [topic.name]).get(topic.name)
        if present is None:
            # The topic exists, but this user may not describe it.
            describe = Right(TOPIC, topic.name, DESCRIBE, "describing the topic")
            raise TopicError(str(RightMissing([describe], "topics")))
        results.append(CreationResult(topic, False, tuple(differences(topic, present))))
    await_usable(admin, [topic.name for topic in wanted])
    return results


def await_usable(admin: AdminClient, names: Sequence[str], partitions: int = 1) -> None:
    """Waits until the brokers know the topics, and every partition has a leader.

    The controller confirms a new topic before the brokers know it.

    Args:
        admin: a `confluent_kafka.admin.AdminClient`.
        names: the topics.
        partitions: smallest number of partitions that each topic must have.

    Raises:
        TopicError: the topics are not ready after 10 s.
    """
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        topics = admin.list_topics(timeout=_TIMEOUT_S).topics
        if all(name in topics and _has_leaders(topics[name], partitions) for name in names):
            return
        if time.monotonic() > deadline:
            raise TopicError(
                f"{', '.join(names)} are not ready: a topic, a partition or a leader is missing"
            )
        time.sleep(0.02)


def _has_leaders(topic: TopicMetadata, partitions: int) -> bool:
    known = topic.partitions.values()
    return len(known) >= partitions and all(p.leader >= 0 for p in known)


def _create(admin: AdminClient, topic: Topic) -> bool:
    """Creates a topic; returns False if it exists already."""
    new = NewTopic(
        topic.name,
        num_partitions=topic.partitions,
        replication_factor=topic.replication,
        config=dict(topic.config),
    )
    future = admin.create_topics([new], operation_timeout=_TIMEOUT_S)[topic.name]
    try:
        future.result()
    except KafkaException as error:
        reason = error.args[0]
        if reason.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise TopicError(f"topic {topic.name} cannot be created: {reason.str()}") from error
    return True


def add_partitions(admin: AdminClient, names: Sequence[str], partitions: int) -> List[str]:
    """Adds partitions to topics.

    Args:
        admin: a `confluent_kafka.admin.AdminClient`.
        names: the topics; topics with `partitions` partitions are not changed.
        partitions: wanted number of partitions of each topic.

    Returns:
        The names of the topics that were changed.

    Raises:
        TopicError: a topic does not exist or has more partitions, the brokers refuse the change, or
            the topics are not ready after 10 s.
    """
    known = existing(admin, names)
    for name in names:
        if name not in known:
            raise TopicError(f"there is no topic {name}; create it: seldon-kafka topics create")
        if known[name].partitions > partitions:
            raise TopicError(
                f"topic {name} has {known[name].partitions} partitions; "
                "Kafka cannot reduce their number"
            )
    to_change = [name for name in names if known[name].partitions < partitions]
    if to_change:
        requests = [NewPartitions(name, partitions) for name in to_change]
        for name, future in admin.create_partitions(requests).items():
            try:
                future.result()
            except KafkaException as error:
                raise TopicError(f"topic {name}: {error.args[0].str()}") from error
        await_usable(admin, to_change, partitions)
    return to_change
