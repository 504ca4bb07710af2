"""Asks the brokers where to start reading the partitions that a worker was assigned."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, Dict, List, Optional

import confluent_kafka
from confluent_kafka import KafkaException, TopicPartition

from kafka.settings import Settings
from kafka.worker.positions import Gap, start_of

log = logging.getLogger("kafka.worker")

# How long offsets may stay hidden behind a dead predecessor's open transaction, and partitions
# without a leader, before the worker gives up and is started again.
_WITHIN_S = 60.0
_REQUEST_S = 5.0
_NO_OFFSET = confluent_kafka.OFFSET_INVALID


class GapFound(Exception):
    """Retention deleted what the group had not read, and `KAFKA_ON_GAP` is `stop`."""


class StartPositions:
    """Finds start positions.

    Args:
        settings: topic, where a new group starts, what to do about a gap.
        consumer: asks for the group.
        gap: told of messages that were deleted before they were read.
    """

    def __init__(self, settings: Settings, consumer: Any, gap: Callable[[Gap], None]) -> None:
        self._settings = settings
        self._topic = settings.input_topic
        self._consumer = consumer
        self._gap = gap

    def find(self, partitions: List[int]) -> Dict[int, int]:
        """The offset to read each partition from.

        Raises:
            GapFound: see there.
            KafkaException: the brokers did not answer in time.
        """
        if not partitions:
            return {}
        committed = self._eventually(lambda: self._committed(partitions))
        missing = [partition for partition in partitions if committed[partition] is None]
        latest = bool(missing) and self._settings.start == "latest" and self._is_new_group()
        starts = {
            partition: self.find_one(partition, committed[partition], latest=latest)
            for partition in partitions
        }
        if latest:
            # Committed at once: a restart before the first message must not skip it.
            self._eventually(lambda: self._commit(starts))
        return starts

    def find_one(self, partition: int, committed: Optional[int], *, latest: bool) -> int:
        """The offset to read one partition from.

        Raises:
            GapFound: see there.
            KafkaException: the brokers did not answer in time.
        """
        place = TopicPartition(self._topic, partition)
        first, end = self._eventually(
            lambda: self._consumer.get_watermark_offsets(place, timeout=_REQUEST_S)
        )
        start = start_of(partition, committed, first, end, latest=latest)
        if start.gap is not None:
            self._gap(start.gap)
            if self._settings.on_gap == "stop":
                raise GapFound(str(start.gap))
        return start.offset

    def _is_new_group(self) -> bool:
        """Whether the group has no offset anywhere; what is added later is read from its start."""
        topics = self._eventually(
            lambda: self._consumer.list_topics(self._topic, timeout=_REQUEST_S).topics
        )
        everywhere = list(topics[self._topic].partitions)
        committed = self._eventually(lambda: self._committed(everywhere))
        return all(offset is None for offset in committed.values())

    def _committed(self, partitions: List[int]) -> Dict[int, Optional[int]]:
        places = [TopicPartition(self._topic, partition) for partition in partitions]
        found: Dict[int, Optional[int]] = {}
        for place in self._consumer.committed(places, timeout=_REQUEST_S):
            if place.error is not None:
                raise KafkaException(place.error)
            found[place.partition] = None if place.offset == _NO_OFFSET else place.offset
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
                if time.monotonic() > give_up_at:
                    raise
                log.debug("asking again: %s", error)
                time.sleep(0.1)
