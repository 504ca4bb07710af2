"""Offsets: those that a worker has committed, and those at which it starts to read."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from seldon_kafka.config.settings import Settings

log = logging.getLogger("seldon_kafka.worker")

# The time for which a failing request is repeated: the open transaction of a worker that died hides
# its group's offsets, and partitions may have no leader for a while. After this time the worker
# exits, and its supervisor starts it again.
_WITHIN_S = 60.0
_REQUEST_S = 3.0
# The time-out of a frequent request, which must not delay a worker that was asked to stop.
_SHORT_REQUEST_S = 1.0
_NO_OFFSET = confluent_kafka.OFFSET_INVALID


class Gap(NamedTuple):
    """A committed offset at which the partition has no record any more.

    Records were deleted before the group read them, or the topic was deleted and created again.

    Attributes:
        partition: the partition.
        committed: the group's committed offset; less than `first`, or past the partition's end.
        first: the first offset that still exists.
    """

    partition: int
    committed: int
    first: int

    def __str__(self) -> str:
        if self.first > self.committed:
            lost = self.first - self.committed
            return (
                f"partition {self.partition}: {lost} messages from offset {self.committed} on "
                "were deleted before they were read"
            )
        return (
            f"partition {self.partition}: the group's offset is {self.committed}, past the "
            "end; the topic seems to have been deleted and created again"
        )


class Start(NamedTuple):
    """The offset to read from, and the gap before it, if there is one."""

    offset: int
    gap: Optional[Gap] = None


def start_offset(partition: int, committed: Optional[int], first: int, end: int) -> Start:
    """Returns where to start reading a partition.

    Without a committed offset that still exists, the start is the first record.

    Args:
        partition: the partition.
        committed: the group's committed offset; None if there is none.
        first: offset of the first record (low watermark).
        end: offset after the last record (high watermark).
    """
    if committed is None:
        return Start(first)
    if first <= committed <= end:
        return Start(committed)
    return Start(first, Gap(partition, committed, first))


class PartitionOffsets:
    """Committed offsets of the assigned partitions, and how far each partition was read.

    Attributes:
        positions: by partition, the committed offset, or the start offset until the first commit.
            Every record of the group before it is answered.
        metadata: by partition, the offset metadata of the last commit; empty if there was none.
    """

    def __init__(self) -> None:
        self.positions: Dict[int, int] = {}
        self.metadata: Dict[int, str] = {}
        self._consumed: Dict[int, int] = {}
        self._ends: Dict[int, int] = {}

    def assign(self, positions: Mapping[int, int], metadata: Mapping[int, str]) -> None:
        """Replaces all partitions and their offsets, for example after an assignment.

        Args:
            positions: start offset, by partition.
            metadata: offset metadata, by partition.
        """
        self.positions = dict(positions)
        self.metadata = {partition: metadata[partition] for partition in positions}
        self.rewind()

    def committed(self, positions: Mapping[int, int], metadata: str) -> None:
        """Stores offsets that were committed with this metadata, of assigned partitions only."""
        for partition, offset in positions.items():
            if partition in self.positions:
                self.positions[partition] = offset
                self.metadata[partition] = metadata

    def revoke(self, partition: int) -> None:
        """Forgets a partition that is not assigned any more."""
        for known in (self.positions, self.metadata, self._consumed, self._ends):
            known.pop(partition, None)

    def with_other_metadata(self, metadata: str) -> Dict[int, int]:
        """Returns the committed offset of each partition whose offset metadata is not this."""
        return {
            partition: position
            for partition, position in self.positions.items()
            if self.metadata[partition] != metadata
        }

    def consumed(self, partition: int, offset: int) -> None:
        """Stores that the record at this offset was consumed, and is to be answered."""
        self._consumed[partition] = offset + 1

    @property
    def unanswered(self) -> bool:
        """Whether a consumed record has no committed outcome yet."""
        return any(
            end > self.positions.get(partition, end) for partition, end in self._consumed.items()
        )

    def reached(self, partition: int, offset: int) -> None:
        """Stores that no record before this offset is left to read."""
        self._ends[partition] = max(offset, self._ends.get(partition, offset))

    def next_of(self, partition: int) -> int:
        """Returns the first offset of an assigned partition that was not read yet."""
        return max(
            self.positions[partition],
            self._consumed.get(partition, -1),
            self._ends.get(partition, -1),
        )

    def rewind(self) -> None:
        """Forgets how far each partition was read beyond its committed offset."""
        self._consumed = {}
        self._ends = {}

    def ends_to_commit(self, answered: Mapping[int, int]) -> Dict[int, int]:
        """Returns the offsets past transaction markers and skipped records, by partition.

        Only partitions whose consumed records are all answered are returned.

        Args:
            answered: offset after the last answered record, by partition; partitions without an
                entry are answered up to their committed offsets.
        """
        ends = {}
        for partition, end in self._ends.items():
            position = answered.get(partition, self.positions.get(partition, end))
            if end > position >= self._consumed.get(partition, -1):
                ends[partition] = end
        return ends


class GapFound(Exception):
    """A partition has a gap, and `KAFKA_ON_GAP` is `stop`; the text describes the gap."""


class StartOffsets:
    """Asks the brokers for the offsets at which to start reading.

    Args:
        settings: topic, where a new group starts, what to do about a gap.
        consumer: the group's consumer.
        gap: called with each gap that is found.
        stopping: returns whether the worker was asked to stop, which ends repeated requests.

    Attributes:
        metadata: by partition, the offset metadata that was read last.
    """

    def __init__(
        self,
        settings: Settings,
        consumer: Consumer,
        gap: Callable[[Gap], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._topic = settings.input_topic
        self._consumer = consumer
        self._gap = gap
        self._stopping = stopping
        self.metadata: Dict[int, str] = {}

    def find(self, partitions: List[int]) -> Dict[int, int]:
        """Returns the offset to read each partition from.

        Raises:
            GapFound: a partition has a gap, and `KAFKA_ON_GAP` is `stop`.
            KafkaException: the brokers did not answer within 60 s, or before the worker stopped.
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
        """Returns the offset to read one partition from.

        Raises:
            GapFound: a partition has a gap, and `KAFKA_ON_GAP` is `stop`.
            KafkaException: the brokers did not answer within 60 s, or before the worker stopped.
        """
        first, end = self._watermarks(partition)
        start = start_offset(partition, committed, first, end)
        if start.gap is not None:
            self._gap(start.gap)
            if self._settings.on_gap == "stop":
                raise GapFound(str(start.gap))
        return start.offset

    def topic_exists(self) -> Optional[bool]:
        """Returns whether the brokers say that the topic exists; None if they do not answer."""
        try:
            known = self._consumer.list_topics(self._topic, timeout=_SHORT_REQUEST_S).topics
        except KafkaException:
            return None
        error = known[self._topic].error if self._topic in known else None
        return error is None or error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART

    def _start_new_group_at_the_end(self) -> None:
        """Commits the high watermark of every partition if the group has committed no offset yet.

        Partitions that get no offset here, because they are added later, are read from their
        beginning. So no record is skipped that is sent after the group's first member has joined.
        """
        topics = self._eventually(
            lambda: self._consumer.list_topics(self._topic, timeout=_REQUEST_S).topics
        )
        partitions = list(topics[self._topic].partitions)
        committed = self._eventually(lambda: self._committed(partitions))
        if any(offset is not None for offset in committed.values()):
            return
        ends = {partition: self._watermarks(partition)[1] for partition in partitions}
        self._eventually(lambda: self._commit(ends))

    def _watermarks(self, partition: int) -> Tuple[int, int]:
        partition_offset = TopicPartition(self._topic, partition)
        first, end = self._eventually(
            lambda: self._consumer.get_watermark_offsets(partition_offset, timeout=_REQUEST_S)
        )
        return first, end

    def _committed(self, partitions: List[int]) -> Dict[int, Optional[int]]:
        partition_offsets = [TopicPartition(self._topic, partition) for partition in partitions]
        offsets: Dict[int, Optional[int]] = {}
        for partition_offset in self._consumer.committed(partition_offsets, timeout=_REQUEST_S):
            if partition_offset.error is not None:
                raise KafkaException(partition_offset.error)
            offsets[partition_offset.partition] = (
                None if partition_offset.offset == _NO_OFFSET else partition_offset.offset
            )
            self.metadata[partition_offset.partition] = partition_offset.metadata or ""
        return offsets

    def _commit(self, positions: Dict[int, int]) -> None:
        partition_offsets = [TopicPartition(self._topic, *item) for item in positions.items()]
        self._consumer.commit(offsets=partition_offsets, asynchronous=False)

    def _eventually(self, request: Callable[[], Any]) -> Any:
        """Repeats a request while it fails, for 60 s or until the worker is asked to stop.

        Raises:
            KafkaException: the error of the last try.
        """
        give_up_at = time.monotonic() + _WITHIN_S
        while True:
            try:
                return request()
            except KafkaException as error:
                if time.monotonic() > give_up_at or self._stopping():
                    raise
                log.debug("asking again: %s", error)
                time.sleep(0.1)
