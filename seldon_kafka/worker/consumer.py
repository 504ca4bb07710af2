"""The consumer of a worker: polls the input topic, and follows assignments and rebalances."""

from __future__ import annotations

import logging
import time
from typing import (
    Any,
    Callable,
    Collection,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Set,
)

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.rights import GROUP, READ, TOPIC, RightMissing, worker_rights
from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import UNREADABLE_BATCH, JsonObject, Record
from seldon_kafka.transport.consumed import position_of, record_of
from seldon_kafka.worker.offsets import Gap, GapFound, PartitionOffsets, StartOffsets

log = logging.getLogger("seldon_kafka.worker")

# The client library's default, and its limit.
_POLL_INTERVAL_MS = 300_000
_MOST_POLL_INTERVAL_MS = 86_400_000
# The interval at which offsets past skipped records are committed.
_COMMIT_SKIPPED_S = 1.0
# A member that joins the group waits until every other member has polled.
_KEEP_MEMBERSHIP_S = 2.0
_MISSING = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
)
# The kind of resource that each error denies.
_DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: TOPIC,
    KafkaError.GROUP_AUTHORIZATION_FAILED: GROUP,
}
# The library can't unpack the record, and would fetch it again for ever.
_UNREADABLE = (KafkaError._BAD_COMPRESSION, KafkaError._NOT_IMPLEMENTED)
_PASSING = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE)


class RecordQueue(Protocol):
    """The queue that gets the records; `add` and `drop` are called in the order of events."""

    def add(self, records: Sequence[Record]) -> None:
        """Adds consumed records."""

    def drop(self, partitions: Collection[int]) -> None:
        """Drops the records of partitions that are not assigned any more."""


class Events(NamedTuple):
    """Callbacks of a worker's consumer.

    Attributes:
        assigned: called with the offset to read each assigned partition from, and the metadata
            committed with it; also when no partition is assigned.
        revoked: called when no partition is assigned any more.
        gap: called with records that were deleted before they were read.
        error: called with the reason for which no record comes.
        stopping: returns whether the worker is to leave.
    """

    assigned: Callable[[Dict[int, int], Dict[int, str]], None]
    revoked: Callable[[], None]
    gap: Callable[[Gap], None]
    error: Callable[[str], None]
    stopping: Callable[[], bool]


class WorkerConsumer:
    """Consumes the input topic as a member of the group.

    Args:
        settings: topic, group, where to start.
        queue: gets the records.
        events: callbacks.
        clock: returns the seconds of a monotonic clock.
    """

    def __init__(
        self,
        settings: Settings,
        queue: RecordQueue,
        events: Events,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._events = events
        self._clock = clock
        self._topic = settings.input_topic
        self._share = settings.share
        self._missing = (
            f"topic {self._topic} does not exist; create it with `seldon-kafka topics create`"
        )
        self._offsets = PartitionOffsets()
        self._gone: Set[int] = set()
        self._passed_unreadable: Set[int] = set()
        self._skipped = 0
        self._failure: Optional[Exception] = None
        self._group_metadata: Any = None
        self._polled_at = self._clock()
        self._commit_skipped_at = 0.0
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

    def why_without_partitions(self) -> str:
        """Returns why no partition may have been assigned for long."""
        if self._starts.topic_is_missing():
            return self._missing
        return "no partitions are assigned: waiting for the group coordinator or other members"

    def group_metadata(self) -> Any:
        """Returns the generation of the assignment, which fences commits of its offsets.

        It is not the current generation: a member that the group has removed has none, and a
        commit without a generation is not fenced.
        """
        return self._group_metadata

    def poll(self, limit: int, wait_s: float) -> None:
        """Waits for a record, then hands every fetched record to the queue.

        Args:
            limit: most records to take, beside the first one.
            wait_s: longest wait, in seconds.

        Raises:
            GapFound: retention deleted unread records, and `KAFKA_ON_GAP` is `stop`.
            RightMissing: the worker may not read the topic, or not as this group.
            KafkaException: the consumer can't continue.
        """
        if self._gone:
            if self._offsets.unanswered:
                # The next offset is certain once every consumed record is answered.
                self.keep_membership()
                return
            self._restart_gone()
        self._take(limit, wait_s)

    def _take(self, limit: int, wait_s: float) -> None:
        self._passed_unreadable.clear()
        first = self._consumer.consume(1, wait_s)
        # At once: a rebalance during the next call drops what the queue has.
        self._hand_over(first)
        if first:
            self._hand_over(self._consumer.consume(limit, 0))
        self._polled_at = self._clock()
        self._raise_failure()
        # Under steady traffic for other deployments there is no idle moment.
        passes = not self._share.is_whole and self._polled_at >= self._commit_skipped_at
        if passes or not (first or self._offsets.unanswered):
            self._commit_ends()

    def _hand_over(self, messages: Sequence[Message]) -> None:
        records: List[Record] = []
        for message in messages:
            error = message.error()
            if error is None:
                self._keep(record_of(message), records)
            else:
                self._on_error(message, error, records)
        self._queue.add(records)
        self._raise_failure()

    def _keep(self, record: Record, records: List[Record]) -> None:
        if self._share.has(record):
            records.append(record)
            self._offsets.consumed(record.partition, record.offset)
        else:
            # Another deployment answers it, so this group has nothing to do for it.
            self._skipped += 1
            self._offsets.reached(record.partition, record.offset + 1)

    def take_skipped(self) -> int:
        """Returns how many records of other deployments were skipped since the last call."""
        skipped, self._skipped = self._skipped, 0
        return skipped

    def keep_membership(self) -> None:
        """Polls without taking records if the last poll was long ago, so that rebalances go on.

        Records of partitions that are revoked meanwhile leave the queue.

        Raises:
            As `poll`.
        """
        if self._clock() - self._polled_at < _KEEP_MEMBERSHIP_S:
            return
        mine = self._consumer.assignment()
        self._consumer.pause(mine)
        self._take(1, 0)
        still_mine = self._consumer.assignment()
        if still_mine:
            self._consumer.resume(still_mine)

    def rewind(self) -> None:
        """Seeks back to the committed offsets; after an abort the consumer itself does not."""
        self._offsets.rewind()
        for partition, offset in self._offsets.positions.items():
            try:
                self._consumer.seek(TopicPartition(self._topic, partition, offset))
            except KafkaException as error:
                # Revoked meanwhile; the next `poll` reports it.
                log.debug("partition %d is not rewound: %s", partition, error)

    def with_other_metadata(self, metadata: str) -> Dict[int, int]:
        """Returns committed offsets whose metadata differs from this, by partition."""
        return self._offsets.with_other_metadata(metadata)

    def ends_to_commit(self, answered: Mapping[int, int]) -> Dict[int, int]:
        """Returns offsets past transaction markers that may be committed, by partition.

        Args:
            answered: offset after the last answered record, by partition.
        """
        return self._offsets.ends_to_commit(answered)

    def committed(self, positions: Dict[int, int], metadata: str) -> None:
        """Stores offsets that were committed with their replies, and their metadata."""
        self._offsets.committed(positions, metadata)

    def lag(self) -> int:
        """Returns the number of uncommitted offsets, by the ends that came with fetches."""
        behind = 0
        for each in self._topic_partitions(self._offsets.positions):
            _, end = self._consumer.get_watermark_offsets(each, cached=True)
            behind += max(0, end - each.offset)
        return behind

    def offsets_of(self, positions: Mapping[int, int], metadata: str) -> List[TopicPartition]:
        """Returns offsets to commit with this metadata."""
        return [TopicPartition(self._topic, *item, metadata=metadata) for item in positions.items()]

    def commit(self, offsets: Sequence[TopicPartition]) -> None:
        """Commits offsets without a transaction.

        Raises:
            KafkaException: the brokers refuse the commit.
        """
        results = self._consumer.commit(offsets=list(offsets), asynchronous=False)
        for result in results or ():
            if result.error is not None:
                raise KafkaException(result.error)

    def close(self) -> None:
        """Leaves the group."""
        self._consumer.close()

    def _on_error(self, message: Message, error: KafkaError, records: List[Record]) -> None:
        code = error.code()
        partition, offset = position_of(message)
        if code == KafkaError._PARTITION_EOF:
            self._offsets.reached(partition, offset)
        elif code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self._gone.add(partition)
        elif code in _MISSING:
            self._events.error(self._missing)
        elif code in _UNREADABLE and partition in self._offsets.positions:
            self._pass_unreadable(message, error, records)
        elif code in _DENIED:
            rights = [r for r in worker_rights(self._settings) if r.operation == READ]
            raise RightMissing([r for r in rights if r.resource == _DENIED[code]])
        elif error.fatal():
            raise KafkaException(error)
        else:
            level = logging.DEBUG if code in _PASSING or error.retriable() else logging.WARNING
            log.log(level, "consumer: %s", error.str())

    def _pass_unreadable(self, message: Message, error: KafkaError, records: List[Record]) -> None:
        """Adds a record that the client could not read, to be rejected, and seeks past it.

        It passes one record, although its whole batch is unreadable: the number of records in
        the batch is unknown. It passes one at a time: until records are taken, the library
        reports the same error again.
        """
        partition, first = position_of(message)
        if partition in self._passed_unreadable:
            return
        # The error names the batch's first record, which may have been read.
        offset = max(self._offsets.next_of(partition), first)
        try:
            self._consumer.seek(TopicPartition(self._topic, partition, offset + 1))
        except KafkaException as problem:
            log.debug("partition %d is tried again: %s", partition, problem)
            return
        log.warning("partition %d offset %d can't be read: %s", partition, offset, error.str())
        nothing = Record(self._topic, partition, offset, -1, None, None, UNREADABLE_BATCH)
        self._keep(nothing, records)
        self._passed_unreadable.add(partition)

    def _commit_ends(self) -> None:
        """Commits past transaction markers and skipped records, so that lag reaches zero."""
        self._commit_skipped_at = self._clock() + _COMMIT_SKIPPED_S
        past = self._offsets.ends_to_commit({})
        committed = dict(self._offsets.metadata)
        for metadata in {committed[partition] for partition in past}:
            alike = {each: end for each, end in past.items() if committed[each] == metadata}
            try:
                self.commit(self.offsets_of(alike, metadata))
                self.committed(alike, metadata)
            except KafkaException as error:
                log.debug("ends of partitions are not committed: %s", error)

    def _on_assign(self, consumer: Consumer, partitions: List[TopicPartition]) -> None:
        self._queue.drop(self._offsets.positions)
        self._offsets.assign({}, {})
        if not consumer.memberid():
            # The group has removed this member already, and the partitions are lost next. Without
            # this the library would assign them all the same, and nothing would fence the commits.
            consumer.assign([])
            return
        self._group_metadata = consumer.consumer_group_metadata()
        try:
            starts = self._starts.find([item.partition for item in partitions])
        except (KafkaException, GapFound) as error:
            # `poll` raises it: librdkafka loses exceptions of callbacks.
            self._failure = error
            return
        self._offsets.assign(starts, self._starts.metadata)
        consumer.assign(self._topic_partitions(starts))
        # A partition that was paused when it was revoked is assigned paused.
        consumer.resume(self._topic_partitions(starts))
        self._events.assigned(starts, self._offsets.metadata)

    def _on_revoke(self, consumer: Consumer, partitions: List[TopicPartition]) -> None:
        gone = {item.partition for item in partitions}
        self._queue.drop(gone)
        for partition in gone:
            self._offsets.revoke(partition)
        self._gone -= gone
        self._events.revoked()

    def _topic_partitions(self, positions: Dict[int, int]) -> List[TopicPartition]:
        return [TopicPartition(self._topic, *item) for item in positions.items()]

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _restart_gone(self) -> None:
        """Continues after records that were deleted; librdkafka has stopped fetching there."""
        positions = self._offsets.positions
        for partition in self._gone & set(positions):
            positions[partition] = self._starts.find_one(partition, positions[partition])
        self._gone.clear()
        self._consumer.assign(self._topic_partitions(positions))

    def reload_positions(self) -> None:
        """Reads the committed offsets again, after a commit of unknown outcome.

        Raises:
            GapFound: records were deleted meanwhile.
            KafkaException: the brokers don't answer.
        """
        positions = self._starts.find(list(self._offsets.positions))
        self._offsets.assign(positions, self._starts.metadata)


def fetching_config(settings: Settings) -> JsonObject:
    """Returns the properties of the consumer; what it fetches ahead is bounded."""
    return consumer_config(
        settings,
        settings.group_id,
        client_id=settings.worker_id,
        session_timeout_ms=settings.session_timeout_ms,
        max_poll_interval_ms=_most_between_polls_ms(settings),
        heartbeat_interval_ms=max(1, settings.session_timeout_ms // 6),
        partition_assignment_strategy="roundrobin",
        auto_offset_reset="error",
        enable_partition_eof=True,
        allow_auto_create_topics=False,
        # Bounds the memory for fetched records, however many there are on the brokers.
        queued_max_messages_kbytes=32 * 1024,
        # Small pieces of each partition in turn: no partition waits for all records of another
        # one. A larger record is fetched all the same.
        fetch_message_max_bytes=256 * 1024,
        fetch_max_bytes=max(16 * 1024 * 1024, settings.max_message_bytes * 2),
        fetch_wait_max_ms=100,
        fetch_queue_backoff_ms=20,
        # The pause of a partition after each record that can't be read.
        fetch_error_backoff_ms=50,
    )


def _most_between_polls_ms(settings: Settings) -> int:
    """Returns the longest time between polls, which exceeds a call of the user model.

    The watchdog allows a call a quarter more, and a stack that fails is called again in parts.
    """
    wanted_ms = _POLL_INTERVAL_MS + int(settings.predict_timeout_s * 2500)
    return min(_MOST_POLL_INTERVAL_MS, max(wanted_ms, settings.session_timeout_ms))
