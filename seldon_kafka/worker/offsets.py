"""Where a worker reads and commits in each partition, and where it starts."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import Record


class Gap(NamedTuple):
    """Offsets that the group has not read and that are gone.

    Attributes:
        partition: the partition.
        committed: the group's position.
        first: the first offset that is still there.
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
            f"partition {self.partition}: the group stands at offset {self.committed}, past the "
            "end; the topic seems to have been made anew"
        )


class Start(NamedTuple):
    """The offset to read from, and the gap before it, if there is one."""

    offset: int
    gap: Optional[Gap] = None


def start_of(partition: int, committed: Optional[int], first: int, end: int) -> Start:
    """Where to start.

    Args:
        partition: the partition.
        committed: the group's offset in it, or None.
        first: offset of the first message there is (low watermark).
        end: offset after the last one (high watermark).
    """
    if committed is None:
        return Start(first)
    if first <= committed <= end:
        return Start(committed)
    return Start(first, Gap(partition, committed, first))


class Standing:
    """Positions, what is committed beside them, and ends that were seen.

    Attributes:
        positions: by partition, the offset to go on from: all before it is answered.
        notes: by partition, what is committed beside its position.
    """

    def __init__(self) -> None:
        self.positions: Dict[int, int] = {}
        self.notes: Dict[int, str] = {}
        self._ends: Dict[int, int] = {}

    def begin(self, positions: Mapping[int, int], notes: Mapping[int, str]) -> None:
        """Stands at these positions, and nowhere else."""
        self.positions = dict(positions)
        self.notes = {partition: notes[partition] for partition in positions}
        self._ends = {}

    def move(self, positions: Mapping[int, int], note: str) -> None:
        """Has committed these positions, with this note beside each."""
        for partition, offset in positions.items():
            if partition in self.positions:
                self.positions[partition] = offset
                self.notes[partition] = note

    def leave(self, partition: int) -> None:
        """Stands in this partition no longer."""
        for known in (self.positions, self.notes, self._ends):
            known.pop(partition, None)

    def noted_otherwise(self, note: str) -> Dict[int, int]:
        """Positions beside which another note was committed."""
        return {
            partition: position
            for partition, position in self.positions.items()
            if self.notes[partition] != note
        }

    def see_end(self, partition: int, offset: int) -> None:
        """All of the partition before this offset was handed over, or is not ours to answer."""
        self._ends[partition] = max(offset, self._ends.get(partition, offset))

    def passed(self, partition: int) -> int:
        """Up to where the partition was seen, as far as is known; -1 otherwise."""
        return self._ends.get(partition, -1)

    def forget_ends(self) -> None:
        """What was handed over is to come again, or is dealt with."""
        self._ends = {}

    def reached_ends(self, backlog: Iterable[Record]) -> Dict[int, int]:
        """Ends beyond our positions, past transaction markers, with nothing to be done before them.

        Args:
            backlog: what is still to be taken in hand.
        """
        past = {
            partition: end
            for partition, end in self._ends.items()
            if end > self.positions.get(partition, end)
        }
        if past:
            # Looked through only then: under load no end is seen, and the backlog is long.
            for partition in {record.partition for record in backlog}:
                past.pop(partition, None)
        return past


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
