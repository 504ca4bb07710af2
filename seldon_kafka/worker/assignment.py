"""Asks the brokers where to start reading the partitions that a worker was assigned."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from seldon_kafka.config.settings import Settings
from seldon_kafka.worker.positions import Gap, start_of

log = logging.getLogger("seldon_kafka.worker")

# How long offsets may stay hidden behind a dead predecessor's open transaction, and partitions
# without a leader, before the worker gives up and is started again.
_WITHIN_S = 60.0
_REQUEST_S = 3.0
# A question that is asked again and again, and must not keep a worker from leaving.
_ASIDE_S = 1.0
_NO_OFFSET = confluent_kafka.OFFSET_INVALID


class GapFound(Exception):
    """Retention deleted what the group had not read, and `KAFKA_ON_GAP` is `stop`."""


class StartPositions:
    """Finds start positions.

    Args:
        settings: topic, where a new group starts, what to do about a gap.
        consumer: asks for the group.
        gap: told of messages that were deleted before they were read.
        stopping: whether the worker is to leave, and no longer asks.

    Attributes:
        notes: by partition, what was committed beside the position that was found last.
    """

    def __init__(
        self,
        settings: Settings,
        consumer: Any,
        gap: Callable[[Gap], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._topic = settings.input_topic
        self._consumer = consumer
        self._gap = gap
        self._stopping = stopping
        self.notes: Dict[int, str] = {}

    def find(self, partitions: List[int]) -> Dict[int, int]:
        """The offset to read each partition from.

        Raises:
            GapFound: see there.
            KafkaException: the brokers did not answer in time.
        """
        if not partitions:
            return {}
        committed = self._eventually(lambda: self._committed(partitions))
        if None in committed.values() and self._settings.start == "latest":
            self._start_new_group_at_the_end()
            committed = self._eventually(lambda: self._committed(partitions))
        return {
            partition: self.find_one(partition, committed[partition]) for partition in partitions
        }

    def find_one(self, partition: int, committed: Optional[int]) -> int:
        """The offset to read one partition from.

        Raises:
            GapFound: see there.
            KafkaException: the brokers did not answer in time.
        """
        first, end = self._watermarks(partition)
        start = start_of(partition, committed, first, end)
        if start.gap is not None:
            self._gap(start.gap)
            if self._settings.on_gap == "stop":
                raise GapFound(str(start.gap))
        return start.offset

    def topic_is_missing(self) -> bool:
        """Whether the brokers say that the topic is not there."""
        try:
            known = self._consumer.list_topics(self._topic, timeout=_ASIDE_S).topics
        except KafkaException:
            return False
        error = known[self._topic].error if self._topic in known else None
        return error is not None and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART

    def _start_new_group_at_the_end(self) -> None:
        """Commits the ends of all partitions, for all members, if the group stands nowhere yet.

        What is added later is read from its start, and so is nothing skipped that was sent while
        the group's first members found each other.
        """
        topics = self._eventually(
            lambda: self._consumer.list_topics(self._topic, timeout=_REQUEST_S).topics
        )
        everywhere = list(topics[self._topic].partitions)
        committed = self._eventually(lambda: self._committed(everywhere))
        if any(offset is not None for offset in committed.values()):
            return
        ends = {partition: self._watermarks(partition)[1] for partition in everywhere}
        self._eventually(lambda: self._commit(ends))

    def _watermarks(self, partition: int) -> Tuple[int, int]:
        place = TopicPartition(self._topic, partition)
        first, end = self._eventually(
            lambda: self._consumer.get_watermark_offsets(place, timeout=_REQUEST_S)
        )
        return first, end

    def _committed(self, partitions: List[int]) -> Dict[int, Optional[int]]:
        places = [TopicPartition(self._topic, partition) for partition in partitions]
        found: Dict[int, Optional[int]] = {}
        for place in self._consumer.committed(places, timeout=_REQUEST_S):
            if place.error is not None:
                raise KafkaException(place.error)
            found[place.partition] = None if place.offset == _NO_OFFSET else place.offset
            self.notes[place.partition] = place.metadata or ""
        return found

    def _commit(self, positions: Dict[int, int]) -> None:
        places = [TopicPartition(self._topic, *item) for item in positions.items()]
        self._consumer.commit(offsets=places, asynchronous=False)

    def _eventually(self, request: Callable[[], Any]) -> Any:
        """Asks the brokers until they answer."""
        give_up_at = time.monotonic() + _WITHIN_S
        while True:
            try:
                return request()
            except KafkaException as error:
                if time.monotonic() > give_up_at or self._stopping():
                    raise
                log.debug("asking again: %s", error)
                time.sleep(0.1)
