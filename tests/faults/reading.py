"""Reads topics from the beginning to the end with `read_committed`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import Record
from seldon_kafka.transport.consumed import record_of
from tests.faults.context import quiet

_REQUEST_S = 20.0


def read_all(settings: Settings, topic: str, handle: Callable[[Record], None]) -> int:
    """Passes every committed message of a topic to a function, in order of each partition.

    Args:
        settings: brokers.
        topic: the topic.
        handle: called with each message.

    Returns:
        The number of partitions.

    Raises:
        KafkaException: the topic cannot be read.
    """
    config = consumer_config(settings, f"{settings.group_id}.checker", enable_partition_eof=True)
    consumer: Any = Consumer(quiet(config))
    try:
        partitions = sorted(
            consumer.list_topics(topic, timeout=_REQUEST_S).topics[topic].partitions
        )
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        left = set(partitions)
        while left:
            for message in consumer.consume(5000, 1.0):
                error = message.error()
                if error is None:
                    handle(record_of(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
                elif not error.retriable():
                    raise KafkaException(error)
        return len(partitions)
    finally:
        consumer.close()
