"""The wanted topics, and the differences of existing ones. It asks no broker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from seldon_kafka.config.clients import most_log_bytes
from seldon_kafka.config.settings import Settings

PARTITIONS = 12
_KIB = 1024
# A message's key, headers and framing, beyond its value.
_ENVELOPE_BYTES = 64 * _KIB
# The headers that a dead letter adds to its message.
_WHY_BYTES = 64 * _KIB


@dataclass(frozen=True)
class Topic:
    """A wanted or an existing topic.

    Attributes:
        name: its name.
        partitions: number of partitions.
        replication: number of replicas of each partition.
        config: Kafka's topic settings; of a wanted topic, those that differ from the brokers'
            defaults.
    """

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


def wanted_topics(
    settings: Settings,
    brokers: int,
    partitions: int = PARTITIONS,
    replication: Optional[int] = None,
) -> Tuple[Topic, ...]:
    """Returns the wanted input, output, dead-letter and feedback topics, and the request log.

    Args:
        settings: the settings with the topics' names and the largest message.
        brokers: number of brokers.
        partitions: number of partitions of each topic.
        replication: number of replicas; None for one on each broker, at most three.
    """
    copies = replication or min(3, brokers)
    largest = settings.max_message_bytes + _ENVELOPE_BYTES
    common: Dict[str, str] = {"max.message.bytes": str(largest)}
    if copies >= 3:
        # A write succeeds once two brokers have it: one broker may die, and nothing is lost.
        common["min.insync.replicas"] = "2"
    # Dead letters wait for an operator, and feedback waits for the next training.
    kept = {**common, "retention.ms": "-1", "retention.bytes": "-1"}
    dead = {**kept, "max.message.bytes": str(largest + _WHY_BYTES)}
    topics = (
        Topic(settings.input_topic, partitions, copies, common),
        Topic(settings.output_topic, partitions, copies, common),
        Topic(settings.dead_letter_topic, partitions, copies, dead),
        Topic(settings.feedback_topic, partitions, copies, kept),
    )
    if not settings.log_requests:
        return topics
    log = {**common, "max.message.bytes": str(most_log_bytes(settings))}
    return (*topics, Topic(settings.log_topic, partitions, copies, log))


def differences(wanted: Topic, found: Topic) -> List[str]:
    """Returns the differences of an existing topic, one line each.

    Args:
        wanted: the wanted topic.
        found: the existing topic, with all of its settings.
    """
    lines = []
    if found.partitions != wanted.partitions:
        lines.append(f"has {found.partitions} partitions, wanted {wanted.partitions}")
    if found.replication != wanted.replication:
        lines.append(f"has replication {found.replication}, wanted {wanted.replication}")
    for key, value in wanted.config.items():
        is_now = found.config.get(key)
        if is_now != value:
            lines.append(f"has {key}={is_now}, wanted {value}")
    return lines
