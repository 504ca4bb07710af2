"""Writes the records of topics to a search engine, at least once, with stable document ids."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from seldon_kafka.config.clients import consumer_config, most_log_bytes
from seldon_kafka.config.refusal import why_unreadable
from seldon_kafka.config.rights import GROUP, READ, TOPIC, Right, RightMissing
from seldon_kafka.config.settings import Settings
from seldon_kafka.errors import CommandError
from seldon_kafka.messages import Record
from seldon_kafka.request_log.delivery import Delivery, Stopped
from seldon_kafka.request_log.documents import Document, NoDocument
from seldon_kafka.request_log.search import SearchEngine
from seldon_kafka.transport.consumed import record_of

log = logging.getLogger("seldon_kafka.request_log")

Reading = Tuple[str, Callable[[Record, str], Document]]
"""Name of an index, and the function that converts a record to a document for it."""

_ROLE = "request-log"
_BATCH_BYTES = 8 * 1024 * 1024
_BATCH_WITHIN_S = 1.0
_POLL_S = 0.2
_QUEUE_KIB = 64 * 1024


class Unreadable(CommandError):
    """The topics can't be read; the message has the reason."""


class Sink:
    """Consumes topics as a group member, and commits offsets after documents are written.

    Args:
        settings: brokers, session timeout and size limits.
        group_id: id of the consumer group.
        readings: index and conversion function, by topic.
        engine: the search engine.
        batch: largest number of documents in one request.
    """

    def __init__(
        self,
        settings: Settings,
        group_id: str,
        readings: Mapping[str, Reading],
        engine: SearchEngine,
        batch: int,
    ) -> None:
        self._group_id = group_id
        self._readings = readings
        self._batch = batch
        self._stopped = threading.Event()
        self._delivery = Delivery(engine, self._stopped)
        self._consumer = Consumer(
            consumer_config(
                settings,
                group_id,
                auto_offset_reset="earliest",
                # The session timeout of workers, so that partitions of a killed member are
                # reassigned as quickly.
                session_timeout_ms=settings.session_timeout_ms,
                fetch_message_max_bytes=most_log_bytes(settings),
                queued_max_messages_kbytes=_QUEUE_KIB,
            )
        )

    @property
    def written(self) -> int:
        """Number of written documents, without replacements of refused ones."""
        return self._delivery.written

    @property
    def refused(self) -> int:
        """Number of replaced documents: refused ones, and those of invalid records."""
        return self._delivery.refused

    def stop(self) -> None:
        """Ends `run` after the current batch; may be called from a signal handler.

        A wait for the search engine ends at once. Its batch is then not committed.
        """
        self._stopped.set()

    def run(self) -> None:
        """Writes records until `stop` is called.

        Raises:
            Unreadable: the topics can't be read.
            Unusable: the search engine refuses all documents, or an index can't be created.
            KafkaException: no broker answers.
        """
        try:
            for topic, (index, _) in self._readings.items():
                self._check(topic)
                self._delivery.make_index(index)
            self._consumer.subscribe(list(self._readings))
            while not self._stopped.is_set():
                records = self._read()
                if records:
                    self._write_documents(records)
                    self._commit(records)
        except Stopped:
            log.info("stopped while waiting; records without a committed offset will be read again")
        finally:
            self._consumer.close()

    def _check(self, topic: str) -> None:
        found = self._consumer.list_topics(topic, timeout=10).topics[topic]
        if found.error is not None:
            raise Unreadable(why_unreadable(self._consumer, topic, _ROLE))

    def _read(self) -> List[Record]:
        """Polls for at most a second, and returns the records for one request."""
        records: List[Record] = []
        size = 0
        until = time.monotonic() + _BATCH_WITHIN_S
        while len(records) < self._batch and size < _BATCH_BYTES and not self._stopped.is_set():
            left = until - time.monotonic()
            if left <= 0:
                break
            message = self._consumer.poll(min(left, _POLL_S))
            if message is None:
                continue
            error = message.error()
            if error is not None:
                self._on_error(error, message.topic())
                continue
            records.append(record_of(message))
            size += len(records[-1].value or b"")
        return records

    def _on_error(self, error: KafkaError, topic: Optional[str]) -> None:
        code = error.code()
        if code == KafkaError.GROUP_AUTHORIZATION_FAILED:
            right = Right(GROUP, self._group_id, READ, "")
            raise Unreadable(str(RightMissing([right], _ROLE)))
        if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            names = [topic] if topic in self._readings else list(self._readings)
            rights = [Right(TOPIC, str(name), READ, "") for name in names]
            raise Unreadable(str(RightMissing(rights, _ROLE)))
        if error.fatal():
            raise Unreadable(f"the consumer failed: {error.str()}")
        log.debug("error of the Kafka client: %s", error.str())

    def _write_documents(self, records: Sequence[Record]) -> None:
        documents = []
        for record in records:
            index, made_of = self._readings[record.topic]
            try:
                documents.append(made_of(record, index))
            except NoDocument as error:
                documents.append(self._delivery.refusal(record, index, str(error)))
        self._delivery.write(documents)

    def _commit(self, records: Sequence[Record]) -> None:
        positions: Dict[Tuple[str, int], int] = {}
        for record in records:
            positions[record.topic, record.partition] = record.offset + 1
        offsets: List[Any] = [TopicPartition(*place, at) for place, at in positions.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # Another member has the partitions now, or a broker does not answer. Records without
            # a committed offset are read and written again.
            log.info("the offsets are not committed: %s", error.args[0].str())
