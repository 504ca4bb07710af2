"""Reads the current messages of a topic: all of them, or those at given positions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.refusal import explained, why_unreadable
from seldon_kafka.config.settings import Settings
from seldon_kafka.errors import CommandError
from seldon_kafka.messages import Record
from seldon_kafka.transport.consumed import position_of, reached, record_of

_REQUEST_S = 10.0
# Reading is given up after this time without a message.
_PATIENCE_S = 30.0
_BATCH = 500
# The limit of the memory for fetched messages, in KiB.
_QUEUE_KIB = 16 * 1024
# Two wanted messages are read together if their offsets differ by this much or less.
_NEAR = 200


class ReadError(CommandError):
    """A topic can't be read; the text says what to do."""


class Snapshot:
    """Reads current messages of topics, without joining a group; close it after use."""

    def __init__(self, settings: Settings, role: str) -> None:
        """Creates a consumer, which connects later.

        Args:
            settings: the settings.
            role: the role whose rights are needed, a key of `seldon_kafka.config.rights.ROLES`.
        """
        self._role = role
        self._config = consumer_config(
            settings,
            f"consumer-{uuid.uuid4().hex}",
            enable_partition_eof=True,
            auto_offset_reset="earliest",
            fetch_wait_max_ms=50,
            queued_max_messages_kbytes=_QUEUE_KIB,
        )
        self._consumer = Consumer(self._config)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def everything(
        self, topic: str, watch: Callable[[int, int], None] = lambda done, total: None
    ) -> Iterator[Record]:
        """Yields all messages, in order within each partition.

        Args:
            topic: name of the topic.
            watch: called with the number of messages that were read, and the approximate number of
                all messages.

        Raises:
            ReadError: the topic does not exist or may not be read, or no broker answers.
        """
        try:
            ends = self._ends(topic)
            total = sum(high - low for low, high in ends.values())
            self._consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in ends])
            until = {partition: high for partition, (low, high) in ends.items() if high > low}
            for done, record in enumerate(self._until(until), 1):
                watch(done, total)
                yield record
        except KafkaException as error:
            raise self._error(topic, error) from error

    def at(self, topic: str, positions: Iterable[tuple[int, int]]) -> Iterator[Record]:
        """Yields the messages at these positions, except for those that do not exist any more.

        Args:
            topic: name of the topic.
            positions: partition and offset of each message.

        Raises:
            ReadError: the topic does not exist or may not be read, or no broker answers.
        """
        wanted: dict[int, list[int]] = {}
        for partition, offset in sorted(set(positions)):
            wanted.setdefault(partition, []).append(offset)
        try:
            ends = self._ends(topic) if wanted else {}
            for partition, offsets in wanted.items():
                low, high = ends.get(partition, (0, 0))
                present = [offset for offset in offsets if low <= offset < high]
                for run in _runs(present):
                    yield from self._run(topic, partition, run)
        except KafkaException as error:
            raise self._error(topic, error) from error

    def _run(self, topic: str, partition: int, offsets: list[int]) -> Iterator[Record]:
        self._consumer.assign([TopicPartition(topic, partition, offsets[0])])
        left = set(offsets)
        for record in self._until({partition: offsets[-1] + 1}):
            if record.offset in left:
                yield record

    def _until(self, ends: dict[int, int]) -> Iterator[Record]:
        """Yields messages of the assigned partitions.

        Args:
            ends: by partition, the offset after the last message to read.

        Raises:
            KafkaException: a partition can't be read, or no message arrives for 30 s.
        """
        left = dict(ends)
        give_up_at = time.monotonic() + _PATIENCE_S
        while left:
            messages = self._consumer.consume(1, 1.0)
            messages += self._consumer.consume(_BATCH, 0)
            if messages:
                give_up_at = time.monotonic() + _PATIENCE_S
            elif time.monotonic() > give_up_at:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            for message in messages:
                partition, offset = position_of(message)
                if message.error() is None and offset < left.get(partition, 0):
                    yield record_of(message)
                # Transaction markers may follow the last message, and the client hides them.
                if reached(message) >= left.get(partition, 0):
                    left.pop(partition, None)

    def _ends(self, topic: str) -> dict[int, tuple[int, int]]:
        """Returns the low and the high watermark of each partition."""
        topics = self._consumer.list_topics(timeout=_REQUEST_S).topics
        if topic not in topics:
            raise ReadError(why_unreadable(self._consumer, topic, self._role))
        return {
            partition: self._consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=_REQUEST_S
            )
            for partition in sorted(topics[topic].partitions)
        }

    def _error(self, topic: str, error: KafkaException) -> ReadError:
        why = explained(error, self._config).args[0].str()
        return ReadError(f"{topic} can't be read: {why}")


def _runs(offsets: list[int]) -> list[list[int]]:
    """Splits sorted offsets into runs, each of which is read from its first to its last offset."""
    runs: list[list[int]] = []
    for offset in offsets:
        if runs and offset - runs[-1][-1] <= _NEAR:
            runs[-1].append(offset)
        else:
            runs.append([offset])
    return runs
