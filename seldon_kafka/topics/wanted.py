"""What the topics should be like, and how they differ: no broker asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from seldon_kafka.config.clients import most_log_bytes
from seldon_kafka.config.settings import Settings

PARTITIONS = 12
_KIB = 1024
# A message's key, headers and framing, on top of its value.
_ENVELOPE_BYTES = 64 * _KIB
# What a dead letter carries on top of what it was.
_WHY_BYTES = 64 * _KIB


@dataclass(frozen=True)
class Topic:
    """A topic as it should be, or as it is.

    Attributes:
        name: Its name.
        partitions: How many it has.
        replication: How many brokers keep each partition.
        config: Kafka's topic settings; of a wanted topic, those that differ from
            the broker's own.
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
    """The input, output, dead-letter and feedback topic as they should be, and the request log.

    Args:
        settings: Names the topics, and the largest message.
        brokers: How many brokers there are.
        partitions: Of each topic.
        replication: Of each topic; None takes as many as there are brokers, at most three.
    """
    copies = replication or min(3, brokers)
    largest = settings.max_message_bytes + _ENVELOPE_BYTES
    common: Dict[str, str] = {"max.message.bytes": str(largest)}
    if copies >= 3:
        # An answer counts once two brokers have it: one may die, and nothing is lost.
        common["min.insync.replicas"] = "2"
    # Dead letters wait for a person, and feedback for the next training.
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
    """How an existing topic differs from what is wanted, one line each.

    Args:
        wanted: As it should be.
        found: As it is, with all of its settings.
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
