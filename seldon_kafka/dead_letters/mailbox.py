"""Reads the dead-letter topic, and deletes messages from it."""

from __future__ import annotations

import itertools
import time
from typing import Dict, Iterable, Iterator, List, Mapping, Sequence

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from seldon_kafka.config.clients import admin_config, consumer_config
from seldon_kafka.config.refusal import explained, why_unreadable
from seldon_kafka.config.settings import Settings
from seldon_kafka.dead_letters.letters import Envelope, Letter, read_letter
from seldon_kafka.dead_letters.terminal import Notice
from seldon_kafka.errors import CommandError
from seldon_kafka.messages import Record
from seldon_kafka.transport.consumed import position_of, reached, record_of

_REQUEST_S = 10.0
# Brokers may need this time to end an expired transaction, or to restart. It is added to a worker's
# transaction timeout.
_PATIENCE_S = 30.0
_QUEUE_KIB = 16 * 1024


class MailboxError(CommandError):
    """The dead-letter topic can't be read or written; the message has the reason."""


class Mailbox:
    """Reads the dead-letter topic, and deletes from it; a context manager closes the consumer.

    Args:
        settings: dead-letter topic, brokers and limits.

    Attributes:
        ends: by partition, the end offset up to which `records` has read.
    """

    def __init__(self, settings: Settings) -> None:
        self.ends: Dict[int, int] = {}
        self._settings = settings
        self._topic = settings.dead_letter_topic
        self._patience_s = _PATIENCE_S + settings.transaction_timeout_ms / 1000
        self._group = f"{settings.group_id}.dead-letter-reader"
        self._config = consumer_config(
            settings,
            self._group,
            enable_partition_eof=True,
            fetch_wait_max_ms=50,
            fetch_queue_backoff_ms=20,
            auto_offset_reset="earliest",
            # Bounds the memory for fetched messages, for any size of dead letters.
            queued_max_messages_kbytes=_QUEUE_KIB,
            fetch_max_bytes=max(_QUEUE_KIB * 1024, settings.max_message_bytes * 2),
        )
        self._consumer = Consumer(self._config)

    def __enter__(self) -> Mailbox:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def records(self, starts: Mapping[int, int], settled: bool = False) -> Iterator[Record]:
        """Yields the messages up to the end of each partition, in offset order per partition.

        Args:
            starts: by partition, the offset of the first message to read.
            settled: whether to wait for the end of open transactions, which hide later messages.

        Raises:
            MailboxError: the topic can't be read, the brokers don't answer, or `settled` is True
                and a transaction stays open.
        """
        try:
            until = self._high_watermarks(starts) if settled else {}
            yield from self._records(starts, until)
        except KafkaException as error:
            raise self._error("the dead letters can't be read", error) from error

    def everything(self, settled: bool = False) -> Iterator[Record]:
        """Yields the messages of all partitions from their beginning, as `records` does.

        Writes progress lines to stderr.
        """
        beginning = dict.fromkeys(self.partitions(), confluent_kafka.OFFSET_BEGINNING)
        notice = Notice()
        for number, record in enumerate(self.records(beginning, settled), 1):
            notice.update("messages read:", number)
            yield record

    def letters(self, envelopes: Sequence[Envelope]) -> Iterator[Letter]:
        """Reads dead letters with their values, and yields them in order of their positions.

        Dead letters that were deleted since they were indexed are left out.

        Raises:
            MailboxError: the brokers don't answer.
        """
        by_partition = sorted(envelopes, key=lambda item: item.at)
        for partition, group in itertools.groupby(by_partition, key=lambda item: item.at.partition):
            wanted = [item.at.offset for item in group]
            left = set(wanted)
            for record in self.records({partition: wanted[0]}):
                letter = read_letter(record) if record.offset in left else None
                if letter is not None:
                    yield letter
                if record.offset >= wanted[-1]:
                    break

    def partitions(self) -> List[int]:
        """Returns the partition numbers of the topic, in ascending order.

        Raises:
            MailboxError: the topic can't be read, or the brokers don't answer.
        """
        try:
            topics = self._consumer.list_topics(timeout=_REQUEST_S).topics
        except KafkaException as error:
            raise self._error("no broker answers", error) from error
        if self._topic not in topics:
            raise MailboxError(why_unreadable(self._consumer, self._topic, "dead-letters"))
        return sorted(topics[self._topic].partitions)

    def delete(self, before: Mapping[int, int]) -> None:
        """Deletes the messages before the given offset of each partition.

        Raises:
            MailboxError: the brokers refuse the deletion, or don't answer.
        """
        admin = AdminClient(admin_config(self._settings))
        offsets = [TopicPartition(self._topic, *item) for item in before.items()]
        try:
            answers = admin.delete_records(offsets, request_timeout=_REQUEST_S)
            for answer in answers.values():
                answer.result()
        except KafkaException as error:
            raise self._error("not all letters could be deleted", error) from error

    def _records(self, starts: Mapping[int, int], until: Mapping[int, int]) -> Iterator[Record]:
        self._consumer.assign([TopicPartition(self._topic, *item) for item in starts.items()])
        left = set(starts)
        notice = Notice()
        give_up_at = time.monotonic() + self._patience_s
        while left:
            messages = self._consumer.consume(1, 1.0) + self._consumer.consume(500, 0)
            if messages:
                give_up_at = time.monotonic() + self._patience_s
            else:
                notice.update("waiting for brokers or open transactions; partitions:", len(left))
            if time.monotonic() > give_up_at:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, self._why_no_end(left)))
            for message in messages:
                if message.error() is None:
                    yield record_of(message)
                    continue
                partition, _ = position_of(message)
                end = reached(message)
                if end >= 0:
                    self.ends[partition] = end
                    if end >= until.get(partition, 0):
                        left.discard(partition)

    def _why_no_end(self, partitions: Iterable[int]) -> str:
        listed = ", ".join(str(partition) for partition in sorted(partitions))
        return (
            f"the end of partition {listed} was not reached within {self._patience_s:.0f} s; "
            "the brokers don't answer, or a transaction is still open"
        )

    def _high_watermarks(self, partitions: Mapping[int, int]) -> Dict[int, int]:
        """Returns the end offset of each partition, after the messages of open transactions."""
        consumer = Consumer(
            consumer_config(self._settings, self._group, isolation_level="read_uncommitted")
        )
        try:
            return {
                partition: consumer.get_watermark_offsets(
                    TopicPartition(self._topic, partition), timeout=_REQUEST_S
                )[1]
                for partition in partitions
            }
        finally:
            consumer.close()

    def _error(self, what: str, error: KafkaException) -> MailboxError:
        return MailboxError(f"{what}: {explained(error, self._config).args[0].str()}")
