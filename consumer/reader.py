"""Reading topics from a place that is known before the first message is sent."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from seldon_kafka.config.refusal import explained, why_unreadable
from seldon_kafka.config.rights import GROUP, READ, Right, RightMissing
from seldon_kafka.transport.snapshot import ReadError

_PATIENCE_S = 10.0
_LOOK_S = 5.0  # how often new partitions are looked for
_COMMIT_S = 1.0


class Reader:
    """Reads whole topics, from their end or beginning, or as a member of a group.

    Without a group it reads every partition, those that are added later too, and
    leaves no trace on the brokers. With one it shares the partitions with the
    other members and commits what it has returned, so that it is never lost and
    may come twice.
    """

    def __init__(
        self,
        config: dict[str, Any],
        topics: Sequence[str],
        from_beginning: bool = False,
        group: bool = False,
        last: int = 0,
        resume: Mapping[tuple[str, int], int] | None = None,
        by_hand: bool = False,
        alone: bool = False,
        since_ms: int | None = None,
    ) -> None:
        """Find the place to read from; what is sent after this is not missed.

        Args:
            config: Of a `confluent_kafka.Consumer`.
            topics: What to read; they must exist.
            from_beginning: Read what is there already, too; in a group, only if
                that has not read any of it.
            group: Join the group that the configuration names.
            last: Without a group, read so many offsets of each partition, too, from
                before its end.
            resume: Without a group, go on at these offsets of (topic, partition), wherever
                they are still there.
            by_hand: In a group, commit only when `commit` is called.
            alone: In a group, read every partition, those that are added later too, whatever
                the group assigns. It must have no other reader.
            since_ms: Alone in a group, where it has committed nothing, begin with the first
                message of this time or a later one, in ms since 1970.

        Raises:
            ReadError: A topic does not exist, or no broker answers.
        """
        reset = "earliest" if from_beginning else "latest"
        # An empty partition would hold the first answer from another one up for half a second.
        own = {"fetch.wait.max.ms": 100, **config, "auto.offset.reset": reset}
        self._consumer = Consumer(own)
        self._topics = tuple(topics)
        self._last = last
        self._resume = dict(resume or {})
        self._group: str | None = config["group.id"] if group else None
        self._by_hand = by_hand
        self._alone = alone
        self._since_ms = since_ms
        self._has_joined = False
        self._known: set[tuple[str, int]] = set()
        self._next_look = time.monotonic() + _LOOK_S
        self._next_commit = 0.0
        self._uncommitted = False
        try:
            found = self._partitions(must_exist=True)
            if group and alone:
                self._consumer.subscribe(list(topics), on_assign=self._join)
            elif group:
                self._consumer.subscribe(list(topics))
            else:
                self._consumer.assign([self._start(*each, from_beginning) for each in found])
                self._known = set(found)
        except KafkaException as error:
            self._consumer.close()
            why = explained(error, config).args[0].str()
            raise ReadError(f"no broker answers: {why}") from error

    def read(self, count: int, timeout_s: float) -> list[Message]:
        """Messages that have come, at most so many, waiting at most so long for the first.

        Raises:
            ReadError: The brokers refuse.
        """
        self._housekeep()
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        found = [first, *self._consumer.consume(count - 1, timeout=0)] if count > 1 else [first]
        good = []
        for message in found:
            error = message.error()
            if error is None:
                good.append(message)
            else:
                self._check(error)
        self._uncommitted |= bool(good)
        return good

    def _check(self, error: KafkaError) -> None:
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            # The client looks for a coordinator even where it joins no group.
            if self._group is not None:
                joining = Right(GROUP, self._group, READ, "joining it")
                raise ReadError(str(RightMissing([joining], "consumer")))
        elif error.code() == KafkaError._FATAL:
            # What is fatal to a consumer is that another member of the group has its name.
            raise ReadError(f"another reader has taken the place in the group {self._group}")
        elif error.code() != KafkaError._PARTITION_EOF and not error.retriable():
            raise ReadError(f"the topics cannot be read any more: {error.str()}")

    def commit(self) -> None:
        """Commit what was returned so far, in a group.

        Raises:
            ReadError: It can't be committed.
        """
        if self._group and self._uncommitted:
            self._commit(asynchronous=False)

    def close(self) -> None:
        """Commit, in a group whose commits are not made by hand, and leave."""
        if not self._by_hand:
            self.commit()
        self._consumer.close()

    def _housekeep(self) -> None:
        now = time.monotonic()
        if self._has_joined:
            self._has_joined = False
            try:
                self._take_all()
            except KafkaException as error:
                why = error.args[0].str()
                raise ReadError(f"cannot find the place to read from: {why}") from error
        if self._uncommitted and self._group and not self._by_hand and now >= self._next_commit:
            self._commit(asynchronous=True)
            self._next_commit = now + _COMMIT_S
        # Empty, in a group: it has not joined yet, or does not choose its partitions.
        if self._known and now >= self._next_look:
            self._next_look = now + _LOOK_S
            # A broker that is away for a moment: look again later.
            with suppress(KafkaException):
                self._take_new()

    def _take_new(self) -> None:
        """Read partitions that were added."""
        new = [each for each in self._partitions() if each not in self._known]
        if new and self._group:
            self._take_all()
        elif new:
            # All that is in a partition is new, since the partition is.
            self._consumer.incremental_assign([self._start(*each, True) for each in new])
            self._known.update(new)

    def _commit(self, asynchronous: bool) -> None:
        try:
            if asynchronous:
                self._consumer.commit(asynchronous=True)
            else:
                self._consumer.commit(asynchronous=False)
        except KafkaException as error:
            # Without a commit the same comes again, which is what a group promises.
            if error.args[0].code() != KafkaError._NO_OFFSET and not asynchronous:
                raise ReadError(f"cannot commit: {error.args[0].str()}") from error
        self._uncommitted = False

    def _partitions(self, must_exist: bool = False) -> list[tuple[str, int]]:
        every = self._consumer.list_topics(timeout=_PATIENCE_S).topics
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

    def _join(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        # What is assigned may be of old: whoever takes a member's name over gets what that had,
        # without the partitions that were added since, or those of other topics. What to read in
        # its place is asked for later: questions from within this call make the next one abort.
        consumer.assign([])
        self._has_joined = True

    def _take_all(self) -> None:
        """Read every partition from where the group has committed."""
        found = self._partitions()
        places = [TopicPartition(*each) for each in found]
        committed = self._consumer.committed(places, timeout=_PATIENCE_S)
        self._consumer.assign([at if at.offset >= 0 else self._first(at) for at in committed])
        self._known = set(found)

    def _first(self, at: TopicPartition) -> TopicPartition:
        """Where to begin in a partition that the group has committed nothing of."""
        if self._since_ms is None:
            return at
        # Before the time is asked for, so that nothing is missed that comes between.
        _, end = self._consumer.get_watermark_offsets(at, timeout=_PATIENCE_S)
        moment = TopicPartition(at.topic, at.partition, self._since_ms)
        (found,) = self._consumer.offsets_for_times([moment], timeout=_PATIENCE_S)
        offset = found.offset if found.offset >= 0 else end
        return TopicPartition(at.topic, at.partition, offset)

    def _start(self, topic: str, partition: int, from_beginning: bool) -> TopicPartition:
        at = TopicPartition(topic, partition)
        low, high = self._consumer.get_watermark_offsets(at, timeout=_PATIENCE_S)
        start = low if from_beginning else max(low, high - self._last)
        resumed = self._resume.get((topic, partition), -1)
        return TopicPartition(topic, partition, resumed if low <= resumed <= high else start)


def end_offsets(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    """The first and the next offset of each partition of a topic; nothing if it is missing.

    Raises:
        KafkaException: No broker answers.
    """
    every = consumer.list_topics(timeout=_PATIENCE_S).topics
    if topic not in every:
        return {}
    return {
        partition: consumer.get_watermark_offsets(
            TopicPartition(topic, partition), timeout=_PATIENCE_S
        )
        for partition in every[topic].partitions
    }
