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

# The default and the limit of `max.poll.interval.ms`.
_POLL_INTERVAL_MS = 300_000
_MOST_POLL_INTERVAL_MS = 86_400_000
# The interval at which offsets past skipped records are committed.
_COMMIT_SKIPPED_S = 1.0
# The longest time without a poll: a rebalance waits until every member of the group has polled.
_KEEP_MEMBERSHIP_S = 2.0
_MISSING = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
)
# The kind of resource to which each error denies access.
_DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: TOPIC,
    KafkaError.GROUP_AUTHORIZATION_FAILED: GROUP,
}
# Session timeouts without an assignment after which a new consumer replaces this one. A rebalance
# takes one, after which the coordinator removes members that have not joined. After a stop of all
# brokers, librdkafka 2.16 sometimes does not join again, and asks for no coordinator.
_SESSIONS = 10
# Errors of a record batch that the library can't decompress, and would fetch again for ever.
_UNREADABLE = (KafkaError._BAD_COMPRESSION, KafkaError._NOT_IMPLEMENTED)
_TEMPORARY = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE)


class NotJoined(Exception):
    """The client library does not join the group any more; a new consumer will."""


class RecordQueue(Protocol):
    """The queue for consumed records.

    `add` and `drop` are called in the order in which records arrive and partitions are revoked.
    """

    def add(self, records: Sequence[Record]) -> None:
        """Adds consumed records."""

    def drop(self, partitions: Collection[int]) -> None:
        """Drops the records of partitions that are revoked, or about to be assigned again."""


class Events(NamedTuple):
    """Callbacks of a worker's consumer.

    Attributes:
        assigned: called after each successful assignment, also an empty one, with the start offset
            and the offset metadata of each partition.
        revoked: called after a rebalance revoked the partitions; it always revokes all of them.
        gap: called with each gap that is found, whatever `KAFKA_ON_GAP` is.
        error: called with a description when the brokers say that the topic does not exist.
        stopping: returns whether the worker was asked to stop.
    """

    assigned: Callable[[Dict[int, int], Dict[int, str]], None]
    revoked: Callable[[], None]
    gap: Callable[[Gap], None]
    error: Callable[[str], None]
    stopping: Callable[[], bool]


class WorkerConsumer:
    """Consumes the input topic as a member of the group.

    Args:
        settings: topic, group, and where a new group starts.
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
        self._out_of_range: Set[int] = set()
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

    def why_without_partitions(self, waited_s: float) -> str:
        """Returns the probable reason why no partition is assigned.

        Args:
            waited_s: time without an assignment, in seconds.

        Raises:
            NotJoined: the brokers answer, but they have assigned nothing for ten session timeouts.
        """
        exists = self._starts.topic_exists()
        if exists is False:
            return self._missing
        if exists and waited_s * 1000 > _SESSIONS * self._settings.session_timeout_ms:
            raise NotJoined(
                f"no partitions are assigned for {waited_s:.0f} s: a new consumer joins the group"
            )
        return "no partitions are assigned: waiting for the group coordinator or other members"

    def group_metadata(self) -> Any:
        """Returns the group metadata of the last assignment; None before the first one.

        Its generation fences commits. The current group metadata would not do: a member that the
        group has removed has no generation, and a commit without a generation is not fenced.
        """
        return self._group_metadata

    def poll(self, limit: int, wait_s: float) -> None:
        """Waits for a record, then adds it and further fetched records to the queue.

        Args:
            limit: maximum number of further records.
            wait_s: longest wait for the first record, in seconds.

        Raises:
            GapFound: a partition has a gap, and `KAFKA_ON_GAP` is `stop`.
            RightMissing: the worker may not read the topic, or not as this group.
            KafkaException: the consumer can't continue.
        """
        if self._out_of_range:
            if self._offsets.unanswered:
                # The partition starts again at its committed offset, so every consumed record must
                # be answered before.
                self.keep_membership()
                return
            self._restart_out_of_range()
        self._take(limit, wait_s)

    def _take(self, limit: int, wait_s: float) -> None:
        self._passed_unreadable.clear()
        first = self._consumer.consume(1, wait_s)
        # The queue gets the record before the next call, because a rebalance during that call drops
        # only records that the queue has.
        self._hand_over(first)
        if first:
            self._hand_over(self._consumer.consume(limit, 0))
        self._polled_at = self._clock()
        self._raise_failure()
        # Under steady traffic for other deployments no poll is empty. So offsets past skipped
        # records are also committed at an interval.
        is_due = not self._share.is_whole and self._polled_at >= self._commit_skipped_at
        if is_due or not (first or self._offsets.unanswered):
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
            # Another deployment answers this record.
            self._skipped += 1
            self._offsets.reached(record.partition, record.offset + 1)

    def take_skipped(self) -> int:
        """Returns how many records of other deployments were skipped since the last call."""
        skipped, self._skipped = self._skipped, 0
        return skipped

    def keep_membership(self) -> None:
        """Polls with paused partitions if the last poll was 2 s ago, so that rebalances proceed.

        The queue drops the records of partitions that this poll revokes.

        Raises:
            As `poll`.
        """
        if self._clock() - self._polled_at < _KEEP_MEMBERSHIP_S:
            return
        assigned = self._consumer.assignment()
        self._consumer.pause(assigned)
        self._take(1, 0)
        still_assigned = self._consumer.assignment()
        if still_assigned:
            self._consumer.resume(still_assigned)

    def rewind(self) -> None:
        """Seeks back to the committed offsets, because an abort does not move the consumer."""
        self._offsets.rewind()
        for partition, offset in self._offsets.positions.items():
            try:
                self._consumer.seek(TopicPartition(self._topic, partition, offset))
            except KafkaException as error:
                # The partition was revoked meanwhile, and the next `poll` handles that.
                log.debug("partition %d is not rewound: %s", partition, error)

    def with_other_metadata(self, metadata: str) -> Dict[int, int]:
        """Returns the committed offset of each partition whose offset metadata is not this."""
        return self._offsets.with_other_metadata(metadata)

    def ends_to_commit(self, answered: Mapping[int, int]) -> Dict[int, int]:
        """Returns the offsets past transaction markers and skipped records, by partition.

        Only partitions whose consumed records are all answered are returned.

        Args:
            answered: offset after the last answered record, by partition; partitions without an
                entry are answered up to their committed offsets.
        """
        return self._offsets.ends_to_commit(answered)

    def committed(self, positions: Dict[int, int], metadata: str) -> None:
        """Stores offsets that were committed, by partition, and the metadata of them all."""
        self._offsets.committed(positions, metadata)

    def lag(self) -> int:
        """Returns the sum of the partitions' lags, by the high watermarks of past fetches."""
        lag = 0
        for each in self._topic_partitions(self._offsets.positions):
            _, end = self._consumer.get_watermark_offsets(each, cached=True)
            lag += max(0, end - each.offset)
        return lag

    def offsets_of(self, positions: Mapping[int, int], metadata: str) -> List[TopicPartition]:
        """Returns these offsets with this metadata, in the form that `commit` takes."""
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
            self._out_of_range.add(partition)
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
            level = logging.DEBUG if code in _TEMPORARY or error.retriable() else logging.WARNING
            log.log(level, "consumer: %s", error.str())

    def _pass_unreadable(self, message: Message, error: KafkaError, records: List[Record]) -> None:
        """Adds an empty record for one that the client could not read, and seeks past it.

        The pipeline rejects the empty record. The whole record batch is unreadable, but its number
        of records is unknown, so one record is skipped. Each poll skips at most one record of a
        partition, because the library may report the same error several times.
        """
        partition, batch_offset = position_of(message)
        if partition in self._passed_unreadable:
            return
        # The error has the offset of the batch's first record, which may have been read already.
        offset = max(self._offsets.next_of(partition), batch_offset)
        try:
            self._consumer.seek(TopicPartition(self._topic, partition, offset + 1))
        except KafkaException as problem:
            log.debug("partition %d is tried again: %s", partition, problem)
            return
        log.warning("partition %d offset %d can't be read: %s", partition, offset, error.str())
        empty = Record(self._topic, partition, offset, -1, None, None, UNREADABLE_BATCH)
        self._keep(empty, records)
        self._passed_unreadable.add(partition)

    def _commit_ends(self) -> None:
        """Commits offsets past transaction markers and skipped records, so that lag reaches 0."""
        self._commit_skipped_at = self._clock() + _COMMIT_SKIPPED_S
        ends = self._offsets.ends_to_commit({})
        committed = dict(self._offsets.metadata)
        for metadata in {committed[partition] for partition in ends}:
            same = {each: end for each, end in ends.items() if committed[each] == metadata}
            try:
                self.commit(self.offsets_of(same, metadata))
                self.committed(same, metadata)
            except KafkaException as error:
                log.debug("ends of partitions are not committed: %s", error)

    def _on_assign(self, consumer: Consumer, partitions: List[TopicPartition]) -> None:
        self._queue.drop(self._offsets.positions)
        self._offsets.assign({}, {})
        if not consumer.memberid():
            # The group has removed this member already, and the library reports the partitions as
            # lost next. Without this empty assignment the library would assign the partitions all
            # the same, and nothing would fence the commits.
            consumer.assign([])
            return
        self._group_metadata = consumer.consumer_group_metadata()
        try:
            starts = self._starts.find([item.partition for item in partitions])
        except (KafkaException, GapFound) as error:
            # `poll` raises this error, because librdkafka loses exceptions of callbacks.
            self._failure = error
            return
        self._offsets.assign(starts, self._starts.metadata)
        consumer.assign(self._topic_partitions(starts))
        # A partition that was paused when it was revoked is still paused when it is assigned again.
        consumer.resume(self._topic_partitions(starts))
        self._events.assigned(starts, self._offsets.metadata)

    def _on_revoke(self, consumer: Consumer, partitions: List[TopicPartition]) -> None:
        revoked = {item.partition for item in partitions}
        self._queue.drop(revoked)
        for partition in revoked:
            self._offsets.revoke(partition)
        self._out_of_range -= revoked
        self._events.revoked()

    def _topic_partitions(self, positions: Dict[int, int]) -> List[TopicPartition]:
        return [TopicPartition(self._topic, *item) for item in positions.items()]

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _restart_out_of_range(self) -> None:
        """Starts partitions again whose next offset is gone; librdkafka does not fetch them."""
        positions = self._offsets.positions
        for partition in self._out_of_range & set(positions):
            positions[partition] = self._starts.find_one(partition, positions[partition])
        self._out_of_range.clear()
        self._consumer.assign(self._topic_partitions(positions))

    def reload_positions(self) -> None:
        """Reads the committed offsets again, after a commit of unknown outcome.

        Raises:
            GapFound: a partition has a gap, and `KAFKA_ON_GAP` is `stop`.
            KafkaException: the brokers don't answer.
        """
        positions = self._starts.find(list(self._offsets.positions))
        self._offsets.assign(positions, self._starts.metadata)


def fetching_config(settings: Settings) -> JsonObject:
    """Returns the properties of the consumer, which bound the records that it fetches ahead."""
    return consumer_config(
        settings,
        settings.group_id,
        client_id=settings.worker_id,
        session_timeout_ms=settings.session_timeout_ms,
        max_poll_interval_ms=_max_poll_interval_ms(settings),
        heartbeat_interval_ms=max(1, settings.session_timeout_ms // 6),
        partition_assignment_strategy="roundrobin",
        auto_offset_reset="error",
        enable_partition_eof=True,
        allow_auto_create_topics=False,
        # Bounds the memory for fetched records, however many there are on the brokers.
        queued_max_messages_kbytes=32 * 1024,
        # The consumer fetches small pieces of each partition in turn, so that no partition waits
        # for all records of another. A record that is larger than a piece is fetched all the same.
        fetch_message_max_bytes=256 * 1024,
        fetch_max_bytes=max(16 * 1024 * 1024, settings.max_message_bytes * 2),
        fetch_wait_max_ms=100,
        fetch_queue_backoff_ms=20,
        # The delay of fetches of a partition after each unreadable record.
        fetch_error_backoff_ms=50,
    )


def _max_poll_interval_ms(settings: Settings) -> int:
    """Returns `max.poll.interval.ms`: 5 minutes and the time of two calls of the user model.

    The watchdog allows a call a quarter more than its time limit. The second call is for a stack
    that fails and is predicted again in halves. The interval is at most 24 hours.
    """
    wanted_ms = _POLL_INTERVAL_MS + int(settings.predict_timeout_s * 2500)
    return min(_MOST_POLL_INTERVAL_MS, max(wanted_ms, settings.session_timeout_ms))
