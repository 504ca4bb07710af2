"""Takes records from the input topic: group membership, start positions, rewinding.

One thread. Partitions come and go inside `fill` and `keep_membership` only, when nothing is being
published. The class may be at work on records of the backlog then; what it says of those that left
the backlog is dropped (`seldon_kafka.worker.answering`).
"""

from __future__ import annotations

import collections
import logging
import time
from typing import Any, Deque, Dict, List, Optional, Set

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from seldon_kafka.config.rights import GROUP, READ, TOPIC, RightMissing, worker_rights
from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import UNREADABLE_BATCH, Record, value_bytes
from seldon_kafka.transport.consumed import record_of
from seldon_kafka.worker.events import Events
from seldon_kafka.worker.fetching import fetching_config
from seldon_kafka.worker.offsets import GapFound, PartitionOffsets, StartOffsets

log = logging.getLogger("seldon_kafka.worker")

# So often what is passed over for others is committed.
_COMMIT_PASSED_S = 1.0
# Others who join the group wait until every member has been heard.
_KEEP_MEMBERSHIP_S = 2.0
# As much as the library fetches in advance.
_ENOUGH_BYTES = 32 * 1024 * 1024
_MISSING = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
)
# What may not be used, by the error that says so.
_DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: TOPIC,
    KafkaError.GROUP_AUTHORIZATION_FAILED: GROUP,
}
# What the library can't unpack; it would try the same again for ever.
_UNREADABLE = (KafkaError._BAD_COMPRESSION, KafkaError._NOT_IMPLEMENTED)
_PASSING = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE)


class Intake:
    """The consumer side of a worker.

    Args:
        settings: topic, group, where to start.
        events: what to tell.
    """

    def __init__(self, settings: Settings, events: Events) -> None:
        self._settings = settings
        self._events = events
        self._topic = settings.input_topic
        self._share = settings.share
        self._missing = (
            f"topic {self._topic} is not there; make it with `seldon-kafka topics create`"
        )
        self._backlog: Deque[Record] = collections.deque()
        # At least the bytes of its values: what leaves the backlog is not taken off.
        self._most_bytes = 0
        self._offsets = PartitionOffsets()
        self._gone: Set[int] = set()
        self._passed_over: Set[int] = set()
        self._others = 0
        self._failure: Optional[Exception] = None
        self._rebalances = 0
        self._group_metadata: Any = None
        self._polled_at = time.monotonic()
        self._commit_passed_at = 0.0
        self._consumer = Consumer(fetching_config(settings))
        self._starts = StartOffsets(settings, self._consumer, events.gap, events.stopping)

    def subscribe(self) -> None:
        """Joins the group."""
        self._consumer.subscribe(
            [self._topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )

    @property
    def backlog(self) -> Deque[Record]:
        """Records that are consumed and not yet taken in hand; the worker takes from the left."""
        return self._backlog

    def why_without_partitions(self) -> str:
        """Why the group may have given us none for long, in words."""
        if self._starts.topic_is_missing():
            return self._missing
        return "no partitions: the group's other members, or its coordinator, tarry"

    def group_metadata(self) -> Any:
        """The generation under which our partitions were assigned, which fences their commits.

        It is the one of the assignment, not the current one: a member that the group has given
        up has no generation any more, and commits without one are not fenced at all.
        """
        return self._group_metadata

    def room(self, enough: int) -> int:
        """How many records may be taken before there are enough in the backlog.

        Args:
            enough: number of records; large ones are enough sooner.
        """
        room = enough - len(self._backlog)
        if room <= 0:
            return 0
        if self._most_bytes > _ENOUGH_BYTES:
            # Records have left since it was counted.
            self._most_bytes = value_bytes(self._backlog)
        return room if self._most_bytes <= _ENOUGH_BYTES else 0

    def fill(self, limit: int, wait_s: float) -> None:
        """Waits for a record, then adds all that has been fetched already to the backlog.

        Args:
            limit: most records to take, beside the first one.
            wait_s: longest wait, in seconds.

        Raises:
            GapFound: see there.
            RightMissing: we may not read the topic, or not as this group.
            KafkaException: the consumer can't go on.
        """
        if self._gone:
            if self._backlog:
                # Where to read on is certain when all that was read is answered.
                self.keep_membership()
                return
            self._restart_gone()
        self._take(limit, wait_s)

    def _take(self, limit: int, wait_s: float) -> None:
        messages = self._consumer.consume(1, wait_s)
        if messages:
            rebalances = self._rebalances
            more = self._consumer.consume(limit, 0)
            # What came before a rebalance belongs to others now, or comes again.
            messages = messages + more if rebalances == self._rebalances else more
        self._polled_at = time.monotonic()
        self._raise_failure()
        # Under steady traffic that is not ours there is no idle moment.
        passes = not self._share.is_whole and self._polled_at >= self._commit_passed_at
        if passes or not (messages or self._backlog):
            self._commit_ends()
        self._passed_over.clear()
        for message in messages:
            error = message.error()
            if error is None:
                self._keep(record_of(message))
            else:
                self._on_error(message, error)
        self._raise_failure()

    def _keep(self, record: Record) -> None:
        if self._share.has(record):
            self._backlog.append(record)
            self._most_bytes += len(record.value or b"")
        else:
            # It is another deployment's, and so done as far as this group is concerned.
            self._others += 1
            self._offsets.reached(record.partition, record.offset + 1)

    def take_others(self) -> int:
        """How many records were another deployment's, since this was last asked."""
        others, self._others = self._others, 0
        return others

    def keep_membership(self) -> None:
        """Lets the group know that this worker lives, if it took nothing for long.

        What is revoked meanwhile leaves the backlog.

        Raises:
            As `fill`.
        """
        if time.monotonic() - self._polled_at < _KEEP_MEMBERSHIP_S:
            return
        mine = self._consumer.assignment()
        self._consumer.pause(mine)
        self._take(1, 0)
        still_mine = self._consumer.assignment()
        if still_mine:
            self._consumer.resume(still_mine)

    def rewind(self) -> None:
        """Goes back to the last published positions: after an abort the consumer does not."""
        self._backlog.clear()
        self._offsets.forget_ends()
        for partition, offset in self._offsets.positions.items():
            try:
                self._consumer.seek(TopicPartition(self._topic, partition, offset))
            except KafkaException as error:
                # Revoked meanwhile; the next `fill` says so.
                log.debug("partition %d is not rewound: %s", partition, error)

    def with_other_metadata(self, metadata: str) -> Dict[int, int]:
        """Positions of our partitions beside which another note was committed."""
        return self._offsets.with_other_metadata(metadata)

    def ends_to_commit(self) -> Dict[int, int]:
        """Ends of partitions, past transaction markers, with nothing in the backlog before them."""
        return self._offsets.ends_to_commit(self._backlog)

    def published(self, positions: Dict[int, int], metadata: str) -> None:
        """Remembers positions that were committed with their replies, and this note beside them."""
        self._offsets.committed(positions, metadata)

    def lag(self) -> int:
        """Offsets of our partitions that are not committed, by the ends that came with fetches."""
        behind = 0
        for place in self._places(self._offsets.positions):
            _, end = self._consumer.get_watermark_offsets(place, cached=True)
            behind += max(0, end - place.offset)
        return behind

    def commit(self, positions: Dict[int, int], metadata: str) -> None:
        """Commits offsets with metadata, without a transaction.

        Raises:
            KafkaException: they may not be committed.
        """
        places = [
            TopicPartition(self._topic, *item, metadata=metadata) for item in positions.items()
        ]
        results = self._consumer.commit(offsets=places, asynchronous=False)
        for result in results or ():
            if result.error is not None:
                raise KafkaException(result.error)
        self.published(positions, metadata)

    def close(self) -> None:
        """Leaves the group."""
        self._consumer.close()

    def _on_error(self, message: Any, error: KafkaError) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            self._offsets.reached(message.partition(), message.offset())
        elif code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self._gone.add(message.partition())
        elif code in _MISSING:
            self._events.trouble(self._missing)
        elif code in _UNREADABLE and message.partition() in self._offsets.positions:
            self._pass_over(message, error)
        elif code in _DENIED:
            rights = [r for r in worker_rights(self._settings) if r.operation == READ]
            raise RightMissing([r for r in rights if r.resource == _DENIED[code]])
        elif error.fatal():
            raise KafkaException(error)
        else:
            level = logging.DEBUG if code in _PASSING or error.retriable() else logging.WARNING
            log.log(level, "consumer: %s", error.str())

    def _pass_over(self, message: Any, error: KafkaError) -> None:
        """Takes a record that can't be had for one that is to be rejected, and reads on behind it.

        Only the next one, though all of its batch can't be: how many they are is not known. And
        only one at a time: while nothing was taken, the library has said the same of it again.
        """
        partition = message.partition()
        if partition in self._passed_over:
            return
        ours = [record.offset + 1 for record in self._backlog if record.partition == partition]
        # The error is at the batch's first record; those before our position are answered.
        passed = self._offsets.end_of(partition)
        offset = max([self._offsets.positions[partition], passed, message.offset(), *ours])
        try:
            self._consumer.seek(TopicPartition(self._topic, partition, offset + 1))
        except KafkaException as problem:
            log.debug("partition %d is tried again: %s", partition, problem)
            return
        log.warning("partition %d offset %d can't be read: %s", partition, offset, error.str())
        nothing = Record(self._topic, partition, offset, -1, None, None, UNREADABLE_BATCH)
        self._keep(nothing)
        self._passed_over.add(partition)

    def _commit_ends(self) -> None:
        """Commits past transaction markers and what is not ours, so that lag reaches zero.

        Of partitions with nothing in the backlog: every record before those ends is answered.
        """
        self._commit_passed_at = time.monotonic() + _COMMIT_PASSED_S
        past = self.ends_to_commit()
        self._offsets.forget_ends()
        committed = dict(self._offsets.metadata)
        for metadata in {committed[partition] for partition in past}:
            alike = {each: end for each, end in past.items() if committed[each] == metadata}
            try:
                self.commit(alike, metadata)
            except KafkaException as error:
                log.debug("ends of partitions are not committed: %s", error)

    def _on_assign(self, consumer: Any, partitions: List[TopicPartition]) -> None:
        self._rebalances += 1
        self._backlog.clear()
        self._offsets.assign({}, {})
        if not consumer.memberid():
            # The group has given us up already; that these partitions are lost comes next. Without
            # this the library would assign them all the same, and nothing fence what comes of it.
            consumer.assign([])
            return
        self._group_metadata = consumer.consumer_group_metadata()
        try:
            starts = self._starts.find([item.partition for item in partitions])
        except (KafkaException, GapFound) as error:
            # Raised by `fill`: an exception in here would be lost inside librdkafka.
            self._failure = error
            return
        self._offsets.assign(starts, self._starts.metadata)
        consumer.assign(self._places(starts))
        # A partition that was paused when it went away comes back paused.
        consumer.resume(self._places(starts))
        self._events.assigned(starts, self._offsets.metadata)

    def _on_revoke(self, consumer: Any, partitions: List[TopicPartition]) -> None:
        self._rebalances += 1
        gone = {item.partition for item in partitions}
        kept = [record for record in self._backlog if record.partition not in gone]
        self._backlog.clear()
        self._backlog.extend(kept)
        for partition in gone:
            self._offsets.revoke(partition)
        self._gone -= gone
        self._events.revoked()

    def _places(self, positions: Dict[int, int]) -> List[TopicPartition]:
        return [TopicPartition(self._topic, *item) for item in positions.items()]

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _restart_gone(self) -> None:
        """Reads on behind what was deleted while we read; librdkafka has given up there."""
        positions = self._offsets.positions
        for partition in self._gone & set(positions):
            positions[partition] = self._starts.find_one(partition, positions[partition])
        self._gone.clear()
        self._consumer.assign(self._places(positions))

    def reload_positions(self) -> None:
        """Asks the brokers where the group stands, when a commit's outcome is not known.

        Raises:
            GapFound: messages were deleted meanwhile.
            KafkaException: the brokers don't answer.
        """
        positions = self._starts.find(list(self._offsets.positions))
        self._offsets.assign(positions, self._starts.metadata)
