"""The consumer of a worker: polls the input topic, and follows assignments and rebalances."""

from __future__ import annotations

import collections
import logging
import time
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional, Set

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.rights import GROUP, READ, TOPIC, RightMissing, worker_rights
from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import UNREADABLE_BATCH, Record, value_bytes
from seldon_kafka.transport.consumed import record_of
from seldon_kafka.worker.offsets import Gap, GapFound, PartitionOffsets, StartOffsets

log = logging.getLogger("seldon_kafka.worker")

# The client library's default, and its limit.
_POLL_INTERVAL_MS = 300_000
_MOST_POLL_INTERVAL_MS = 86_400_000
# The interval at which offsets past skipped records are committed.
_COMMIT_SKIPPED_S = 1.0
# A member that joins the group waits until every other member has polled.
_KEEP_MEMBERSHIP_S = 2.0
# As many as the library fetches ahead.
_ENOUGH_BYTES = 32 * 1024 * 1024
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
    """Consumes the input topic as a member of the group, and keeps the records.

    Args:
        settings: topic, group, where to start.
        events: callbacks.
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
        # An upper bound of the bytes in the backlog: records that leave it are not subtracted.
        self._most_bytes = 0
        self._offsets = PartitionOffsets()
        self._gone: Set[int] = set()
        self._passed_unreadable: Set[int] = set()
        self._skipped = 0
        self._failure: Optional[Exception] = None
        self._rebalances = 0
        self._group_metadata: Any = None
        self._polled_at = time.monotonic()
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

    @property
    def backlog(self) -> Deque[Record]:
        """Consumed records that are not answered; the worker takes them from the left."""
        return self._backlog

    def why_without_partitions(self) -> str:
        """Returns why no partition may have been assigned for long."""
        if self._starts.topic_is_missing():
            return self._missing
        return "no partitions: the group's other members, or its coordinator, have not answered yet"

    def group_metadata(self) -> Any:
        """Returns the generation of the assignment, which fences commits of its offsets.

        It is not the current generation: a member that the group has removed has none, and a
        commit without a generation is not fenced.
        """
        return self._group_metadata

    def room(self, enough: int) -> int:
        """Returns how many records may be polled before the backlog has enough.

        Args:
            enough: number of records; fewer are enough if they are large.
        """
        room = enough - len(self._backlog)
        if room <= 0:
            return 0
        if self._most_bytes > _ENOUGH_BYTES:
            # Records have left the backlog since.
            self._most_bytes = value_bytes(self._backlog)
        return room if self._most_bytes <= _ENOUGH_BYTES else 0

    def poll(self, limit: int, wait_s: float) -> None:
        """Waits for a record, then moves every fetched record to the backlog.

        Args:
            limit: most records to take, beside the first one.
            wait_s: longest wait, in seconds.

        Raises:
            GapFound: retention deleted unread records, and `KAFKA_ON_GAP` is `stop`.
            RightMissing: the worker may not read the topic, or not as this group.
            KafkaException: the consumer can't continue.
        """
        if self._gone:
            if self._backlog:
                # The next offset is certain once every consumed record is answered.
                self.keep_membership()
                return
            self._restart_gone()
        self._take(limit, wait_s)

    def _take(self, limit: int, wait_s: float) -> None:
        messages = self._consumer.consume(1, wait_s)
        if messages:
            rebalances = self._rebalances
            more = self._consumer.consume(limit, 0)
            # Records from before a rebalance belong to other members now, or are fetched again.
            messages = messages + more if rebalances == self._rebalances else more
        self._polled_at = time.monotonic()
        self._raise_failure()
        # Under steady traffic for other deployments there is no idle moment.
        passes = not self._share.is_whole and self._polled_at >= self._commit_skipped_at
        if passes or not (messages or self._backlog):
            self._commit_ends()
        self._passed_unreadable.clear()
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
            # Another deployment answers it, so this group has nothing to do for it.
            self._skipped += 1
            self._offsets.reached(record.partition, record.offset + 1)

    def take_skipped(self) -> int:
        """Returns how many records of other deployments were skipped since the last call."""
        skipped, self._skipped = self._skipped, 0
        return skipped

    def keep_membership(self) -> None:
        """Polls without taking records if the last poll was long ago, so that rebalances go on.

        Records of partitions that are revoked meanwhile leave the backlog.

        Raises:
            As `poll`.
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
        """Seeks back to the committed offsets; after an abort the consumer itself does not."""
        self._backlog.clear()
        self._offsets.forget_ends()
        for partition, offset in self._offsets.positions.items():
            try:
                self._consumer.seek(TopicPartition(self._topic, partition, offset))
            except KafkaException as error:
                # Revoked meanwhile; the next `poll` reports it.
                log.debug("partition %d is not rewound: %s", partition, error)

    def with_other_metadata(self, metadata: str) -> Dict[int, int]:
        """Returns committed offsets whose metadata differs from this, by partition."""
        return self._offsets.with_other_metadata(metadata)

    def ends_to_commit(self) -> Dict[int, int]:
        """Returns offsets past transaction markers that may be committed, by partition."""
        return self._offsets.ends_to_commit(self._backlog)

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

    def commit(self, positions: Dict[int, int], metadata: str) -> None:
        """Commits offsets with metadata, without a transaction.

        Raises:
            KafkaException: the brokers refuse the commit.
        """
        offsets = [
            TopicPartition(self._topic, *item, metadata=metadata) for item in positions.items()
        ]
        results = self._consumer.commit(offsets=offsets, asynchronous=False)
        for result in results or ():
            if result.error is not None:
                raise KafkaException(result.error)
        self.committed(positions, metadata)

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
            self._events.error(self._missing)
        elif code in _UNREADABLE and message.partition() in self._offsets.positions:
            self._pass_unreadable(message, error)
        elif code in _DENIED:
            rights = [r for r in worker_rights(self._settings) if r.operation == READ]
            raise RightMissing([r for r in rights if r.resource == _DENIED[code]])
        elif error.fatal():
            raise KafkaException(error)
        else:
            level = logging.DEBUG if code in _PASSING or error.retriable() else logging.WARNING
            log.log(level, "consumer: %s", error.str())

    def _pass_unreadable(self, message: Any, error: KafkaError) -> None:
        """Adds a record that the client could not read, to be rejected, and seeks past it.

        It passes one record, although its whole batch is unreadable: the number of records in
        the batch is unknown. It passes one at a time: until records are taken, the library
        reports the same error again.
        """
        partition = message.partition()
        if partition in self._passed_unreadable:
            return
        ours = [record.offset + 1 for record in self._backlog if record.partition == partition]
        # The error names the batch's first record; records before our offset are answered.
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
        self._passed_unreadable.add(partition)

    def _commit_ends(self) -> None:
        """Commits past transaction markers and skipped records, so that lag reaches zero.

        Only for partitions without records in the backlog: they are answered up to the end.
        """
        self._commit_skipped_at = time.monotonic() + _COMMIT_SKIPPED_S
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


def fetching_config(settings: Settings) -> Dict[str, Any]:
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
