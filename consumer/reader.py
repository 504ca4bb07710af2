"""Reads topics, with or without a consumer group."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from seldon_kafka.config.refusal import explained, why_unreadable
from seldon_kafka.config.rights import GROUP, READ, Right, RightMissing
from seldon_kafka.transport.snapshot import ReadError

_TIMEOUT_S = 10.0
_METADATA_S = 5.0  # interval between searches for new partitions
_COMMIT_S = 1.0  # interval between commits


class Reader:
    """Reads the messages of topics, alone or as a member of a consumer group.

    Without a group, the reader reads every partition, also partitions that are added later. It
    commits no offsets. The constructor already determines the offset at which each partition
    starts, so the reader misses no message that is sent after the constructor returns.

    In a group, the reader shares the partitions with the other members. It commits the offsets of
    the messages that it has returned. So no message is lost, and some may be read twice.

    Args:
        config: properties of a `confluent_kafka.Consumer`.
        topics: names of the topics to read; all of them must exist.
        from_beginning: whether to read existing messages too. In a group, this applies to
            partitions without a committed offset.
        group: whether to join the group `group.id` of `config`.
        last: without a group, each partition starts this number of offsets before its end.
        resume: without a group, the offset to start at, by topic and partition. An offset that no
            longer exists is ignored.
        manual_commit: in a group, whether only `commit` commits.
        all_partitions: in a group, whether to read every partition regardless of the assignment,
            also partitions that are added later. The group must have no other reader.
        since_ms: with `all_partitions`, a time in ms since 1970. A partition without a committed
            offset starts at the first message of this time or later.

    Raises:
        ReadError: a topic does not exist or may not be read, or no broker answers.
    """

    def __init__(
        self,
        config: dict[str, Any],
        topics: Sequence[str],
        from_beginning: bool = False,
        group: bool = False,
        last: int = 0,
        resume: Mapping[tuple[str, int], int] | None = None,
        manual_commit: bool = False,
        all_partitions: bool = False,
        since_ms: int | None = None,
    ) -> None:
        reset = "earliest" if from_beginning else "latest"
        # With the client's default of 500 ms, an empty partition would delay the first message of
        # another partition by half a second.
        own = {"fetch.wait.max.ms": 100, **config, "auto.offset.reset": reset}
        self._consumer = Consumer(own)
        self._topics = tuple(topics)
        self._last = last
        self._resume = dict(resume or {})
        self._group: str | None = config["group.id"] if group else None
        self._manual_commit = manual_commit
        self._all_partitions = all_partitions
        self._since_ms = since_ms
        self._has_joined = False
        self._known: set[tuple[str, int]] = set()
        self._next_metadata = time.monotonic() + _METADATA_S
        self._next_commit = 0.0
        self._uncommitted = False
        self._is_commit_due = False
        self._errors: list[KafkaError] = []
        try:
            found = self._partitions(must_exist=True)
            if group and all_partitions:
                self._consumer.subscribe(list(topics), on_assign=self._on_assign)
            elif group:
                self._consumer.subscribe(list(topics))
            else:
                self._consumer.assign([self._start(*each, from_beginning) for each in found])
                self._known = set(found)
        except KafkaException as error:
            self._consumer.close()
            refusal = explained(error, config)
            prefix = "no broker answers: " if refusal is error else ""
            raise ReadError(prefix + refusal.args[0].str()) from error

    def read(self, count: int, timeout_s: float) -> list[Message]:
        """Reads messages.

        Args:
            count: limit of the number of messages.
            timeout_s: limit of the wait for the first message, in seconds.

        Returns:
            The messages. Errors are left out, so the list may be empty before the time-out.

        Raises:
            ReadError: the topics can't be read. If messages came together with the error, they are
                returned, and the next call raises.
        """
        self._do_due_work()
        errors, self._errors = self._errors, []
        for error in errors:
            self._check(error)
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        found = [first, *self._consumer.consume(count - 1, timeout=0)] if count > 1 else [first]
        good = [message for message in found if message.error() is None]
        failures = [error for error in (message.error() for message in found) if error is not None]
        if good:
            self._uncommitted = self._is_commit_due = True
            self._errors = failures
            return good
        for error in failures:
            self._check(error)
        return []

    def _check(self, error: KafkaError) -> None:
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            # Without a group, the error is harmless: the client still looks for the coordinator of
            # its `group.id`, but does not need it.
            if self._group is not None:
                joining = Right(GROUP, self._group, READ, "joining the group")
                raise ReadError(str(RightMissing([joining], "consumer")))
        elif error.code() == KafkaError._FATAL:
            # A consumer has only one fatal error: another member has taken its instance id.
            raise ReadError(
                f"another member with the same group.instance.id joined the group {self._group}"
            )
        elif error.code() != KafkaError._PARTITION_EOF and not error.retriable():
            raise ReadError(f"the topics can no longer be read: {error.str()}")

    def commit(self) -> None:
        """Commits the offsets of the returned messages; does nothing without a group.

        Raises:
            ReadError: the commit failed.
        """
        if self._group and self._uncommitted:
            self._commit(asynchronous=False)

    def close(self) -> None:
        """Commits unless commits are manual, and closes the consumer.

        A member without a `group.instance.id` leaves the group.

        Raises:
            ReadError: the commit failed; the consumer is closed.
        """
        try:
            if not self._manual_commit:
                self.commit()
        finally:
            self._consumer.close()

    def _do_due_work(self) -> None:
        now = time.monotonic()
        if self._has_joined:
            self._has_joined = False
            try:
                self._assign_all()
            except KafkaException as error:
                why = error.args[0].str()
                raise ReadError(f"cannot find the offsets to read from: {why}") from error
        if (
            self._is_commit_due
            and self._group
            and not self._manual_commit
            and now >= self._next_commit
        ):
            self._commit(asynchronous=True)
            self._next_commit = now + _COMMIT_S
        # `_known` is empty if the group assigns the partitions. With `all_partitions` it is empty
        # until the reader has joined the group.
        if self._known and now >= self._next_metadata:
            self._next_metadata = now + _METADATA_S
            # If no broker answers now, the next search finds the new partitions.
            with suppress(KafkaException):
                self._assign_new()

    def _assign_new(self) -> None:
        """Assigns partitions that were added to the topics."""
        new = [each for each in self._partitions() if each not in self._known]
        if new and self._group:
            self._assign_all()
        elif new:
            # A new partition starts at the beginning, because all of its messages are new.
            self._consumer.incremental_assign([self._start(*each, True) for each in new])
            self._known.update(new)

    def _commit(self, asynchronous: bool) -> None:
        self._is_commit_due = False
        try:
            if asynchronous:
                # A failure on the broker is harmless: a later commit includes these offsets, at
                # the latest the commit in `close`.
                self._consumer.commit(asynchronous=True)
            else:
                self._consumer.commit(asynchronous=False)
                self._uncommitted = False
        except KafkaException as error:
            # There is no offset to commit if an earlier commit included all of them.
            if error.args[0].code() != KafkaError._NO_OFFSET and not asynchronous:
                raise ReadError(f"cannot commit: {error.args[0].str()}") from error

    def _partitions(self, must_exist: bool = False) -> list[tuple[str, int]]:
        every = self._consumer.list_topics(timeout=_TIMEOUT_S).topics
        missing = [topic for topic in self._topics if topic not in every]
        if missing and must_exist:
            why = why_unreadable(self._consumer, missing[0], "consumer")
            self._consumer.close()
            raise ReadError(why)
        return [
            (topic, partition)
            for topic in self._topics
            if topic in every
            for partition in sorted(every[topic].partitions)
        ]

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        # The group's assignment may be outdated: a reader that takes over an instance id gets the
        # partitions of its predecessor, without new partitions or topics. So `read` assigns all
        # partitions later. If this callback sent a request to the brokers, the client library would
        # abort the request that is sent next.
        consumer.assign([])
        self._has_joined = True

    def _assign_all(self) -> None:
        """Assigns every partition, each from the committed offset of the group."""
        found = self._partitions()
        partitions = [TopicPartition(*each) for each in found]
        committed = self._consumer.committed(partitions, timeout=_TIMEOUT_S)
        self._consumer.assign(
            [at if at.offset >= 0 else self._start_without_commit(at) for at in committed]
        )
        self._known = set(found)

    def _start_without_commit(self, at: TopicPartition) -> TopicPartition:
        """Returns a partition without a committed offset, with the offset to start at.

        Without `since_ms`, the partition is returned unchanged, and `auto.offset.reset` applies.
        """
        if self._since_ms is None:
            return at
        # The end is requested before the offset of the time. So a message that arrives between the
        # requests is not missed.
        _, end = self._consumer.get_watermark_offsets(at, timeout=_TIMEOUT_S)
        moment = TopicPartition(at.topic, at.partition, self._since_ms)
        (found,) = self._consumer.offsets_for_times([moment], timeout=_TIMEOUT_S)
        offset = found.offset if found.offset >= 0 else end
        return TopicPartition(at.topic, at.partition, offset)

    def _start(self, topic: str, partition: int, from_beginning: bool) -> TopicPartition:
        at = TopicPartition(topic, partition)
        low, high = self._consumer.get_watermark_offsets(at, timeout=_TIMEOUT_S)
        start = low if from_beginning else max(low, high - self._last)
        resumed = self._resume.get((topic, partition), -1)
        return TopicPartition(topic, partition, resumed if low <= resumed <= high else start)


def end_offsets(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    """Returns the offsets at the start and the end of each partition.

    Returns:
        Offset of the first message, and offset after the last message, by partition. Empty if the
        topic does not exist.

    Raises:
        KafkaException: no broker answers.
    """
    every = consumer.list_topics(timeout=_TIMEOUT_S).topics
    if topic not in every:
        return {}
    return {
        partition: consumer.get_watermark_offsets(
            TopicPartition(topic, partition), timeout=_TIMEOUT_S
        )
        for partition in every[topic].partitions
    }
