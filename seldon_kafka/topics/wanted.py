"""The topics that the runtime needs, and how existing topics differ from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from seldon_kafka.config.clients import most_log_bytes
from seldon_kafka.config.settings import Settings

PARTITIONS = 12
_KIB = 1024
# The allowance for a message's key, headers and framing, in addition to its value.
_ENVELOPE_BYTES = 64 * _KIB
# The allowance for the headers that a dead letter adds to its message.
_REASON_BYTES = 64 * _KIB


@dataclass(frozen=True)
class Topic:
    """A wanted or an existing topic.

    Attributes:
        name: name of the topic.
        partitions: number of partitions.
        replication: number of replicas of each partition.
        config: configuration of the topic; a wanted topic has only the properties that differ from
            the brokers' defaults.
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
    """Returns the input, output, dead-letter and feedback topics, and the request log if it is on.

    Args:
        settings: the settings with the topics' names and the size limit of messages.
        brokers: number of brokers.
        partitions: number of partitions of each topic.
        replication: number of replicas of each partition; None for as many as brokers, at most 3.
    """
    copies = replication or min(3, brokers)
    largest = settings.max_message_bytes + _ENVELOPE_BYTES
    common: Dict[str, str] = {"max.message.bytes": str(largest)}
    if copies >= 3:
        # A write succeeds once two replicas have it, so nothing is lost if one broker dies.
        common["min.insync.replicas"] = "2"
    # Dead letters are kept until an operator handles them, and feedback until the next training.
    kept = {**common, "retention.ms": "-1", "retention.bytes": "-1"}
    dead = {**kept, "max.message.bytes": str(largest + _REASON_BYTES)}
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


def differences(wanted: Topic, present: Topic) -> List[str]:
    """Returns how an existing topic differs from the wanted topic, one line each.

    Args:
        wanted: the wanted topic.
        present: the existing topic, with its whole configuration.
    """
    lines = []
    if present.partitions != wanted.partitions:
        lines.append(f"has {present.partitions} partitions, wanted {wanted.partitions}")
    if present.replication != wanted.replication:
        lines.append(f"has replication {present.replication}, wanted {wanted.replication}")
    for key, value in wanted.config.items():
        current = present.config.get(key)
        if current != value:
            lines.append(f"has {key}={current}, wanted {value}")
    return lines
