"""Reads the dead-letter topic, and sends letters back to the input topic."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, List, Sequence

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from kafka.clients import consumer_config, producer_config
from kafka.consumed import record_of
from kafka.dead_letter.letters import REPLAYED, Letter
from kafka.messages import Record
from kafka.refusal import explained, why_unreadable
from kafka.settings import Settings

_REQUEST_S = 10.0


class MailboxError(Exception):
    """The dead-letter topic can't be read or written; the message says why."""


def read_all(settings: Settings) -> Iterator[Record]:
    """Every message of the dead-letter topic that is there now.

    Raises:
        MailboxError: the topic is not there, or the brokers don't answer.
    """
    group = f"{settings.group_id}.dead-letter-reader"
    config = consumer_config(settings, group, enable_partition_eof=True)
    consumer = Consumer(config)
    try:
        yield from _read(consumer, settings.dead_letter_topic)
    except KafkaException as error:
        why = explained(error, config).args[0].str()
        raise MailboxError(f"no broker answers: {why}") from error
    finally:
        consumer.close()


def _read(consumer: Any, topic: str) -> Iterator[Record]:
    topics = consumer.list_topics(timeout=_REQUEST_S).topics
    if topic not in topics:
        raise MailboxError(why_unreadable(consumer, topic, "dead-letters"))
    left = set(topics[topic].partitions)
    beginning = confluent_kafka.OFFSET_BEGINNING
    consumer.assign([TopicPartition(topic, partition, beginning) for partition in left])
    while left:
        for message in consumer.consume(500, 1.0):
            error = message.error()
            if error is None:
                yield record_of(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
            elif not error.retriable() and error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
                # (The client looks for the coordinator of a group that it does not join.)
                raise KafkaException(error)


def replay(settings: Settings, letters: Sequence[Letter]) -> int:
    """Sends letters to the topic that they came from, and marks them as replayed.

    Both happen in one transaction, so that an interrupted replay can simply be run again.

    Returns:
        How many were sent.

    Raises:
        MailboxError: nothing was sent, or it is not known whether; the message says which.
    """
    config = producer_config(settings)
    # One id for a group: what an interrupted replay left open, the next one ends at once.
    config["transactional.id"] = f"{settings.group_id}.replay"
    config["transaction.timeout.ms"] = settings.transaction_timeout_ms
    producer = Producer(config)
    outcome = "nothing was replayed"
    try:
        producer.init_transactions(_REQUEST_S)
        producer.begin_transaction()
        for letter in letters:
            _send(producer, settings, letter)
        producer.flush(_REQUEST_S)
        outcome = "whether anything was replayed is not known, `list` shows it"
        producer.commit_transaction(_REQUEST_S)
    except KafkaException as error:
        _abort(producer)
        raise MailboxError(f"{outcome}: {explained(error, config).args[0].str()}") from error
    except BaseException:
        # Readers of the input topic would wait for what is left open.
        _abort(producer)
        raise
    return len(letters)


def _abort(producer: Any) -> None:
    with contextlib.suppress(KafkaException):
        producer.abort_transaction(_REQUEST_S)


def _send(producer: Any, settings: Settings, letter: Letter) -> None:
    original = letter.original()
    messages: List[Any] = [
        (original.topic, {"key": original.key, "value": original.value}, list(original.headers)),
        (
            settings.dead_letter_topic,
            {"partition": letter.record.partition},
            [(REPLAYED, letter.place.encode("ascii"))],
        ),
    ]
    for topic, fields, headers in messages:
        while True:
            try:
                producer.produce(topic, headers=headers, **fields)
                break
            except BufferError:
                producer.poll(0.1)
