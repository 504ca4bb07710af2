"""Producers that commit messages and offsets: their common contract, then transactions."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from seldon_kafka.transport import producers as producers_module
from seldon_kafka.transport.client_thread import ClientThread
from seldon_kafka.transport.deliveries import NotCommitted
from seldon_kafka.transport.output_messages import OutputMessage
from seldon_kafka.transport.producers import (
    AtLeastOnceProducer,
    OutputProducer,
    TransactionalProducer,
)
from tests.support.records import record
from tests.support.stream import Stream

NewStream = Callable[..., Stream]


@pytest.fixture
def stream(new_stream: NewStream) -> Stream:
    return new_stream(partitions=1)


def transactional(
    stream: Stream, transactional_id: str, **changes: object
) -> TransactionalProducer:
    settings = dataclasses.replace(stream.settings, **changes)  # type: ignore[arg-type]
    return TransactionalProducer(settings, transactional_id, 1_000_000, lambda: None)


def messages(stream: Stream, count: int, topic: str = "") -> list[OutputMessage]:
    topic = topic or stream.settings.output_topic
    source = record(b"x", partition=0)
    return [OutputMessage(topic, 0, 1, b"k", b"v", [], source) for _ in range(count)]


def member(stream: Stream) -> Consumer:
    return Consumer(
        {"bootstrap.servers": stream.environ["KAFKA_BROKER"], "group.id": stream.settings.group_id}
    )


def metadata(stream: Stream) -> object:
    return member(stream).consumer_group_metadata()


def at(stream: Stream, offset: int, text: str = "") -> list[TopicPartition]:
    """Returns the offset to commit for the only partition, with its metadata."""
    return [TopicPartition(stream.settings.input_topic, 0, offset, metadata=text)]


def committed(stream: Stream) -> tuple[int, str]:
    (found,) = member(stream).committed(at(stream, 0), timeout=30)
    return found.offset, found.metadata or ""


NewProducer = Callable[..., OutputProducer]


@pytest.fixture(params=["exactly once", "at least once"])
def new_producer(request: pytest.FixtureRequest, stream: Stream, name: str) -> NewProducer:
    """Creates producers of each kind."""

    def at_least_once(**changes: object) -> OutputProducer:
        settings = dataclasses.replace(stream.settings, **changes)  # type: ignore[arg-type]
        consumer = member(stream)

        def commit(offsets: Sequence[TopicPartition]) -> None:
            consumer.commit(offsets=list(offsets), asynchronous=False)

        return AtLeastOnceProducer(settings, commit, 1_000_000, lambda: None)

    if request.param == "at least once":
        return at_least_once
    return lambda **changes: transactional(stream, name, **changes)


def test_messages_and_offsets_are_committed_with_their_metadata(
    stream: Stream, new_producer: NewProducer
) -> None:
    producer = new_producer()
    values = [str(number).encode() for number in range(100)]
    sent = [each._replace(value=v) for each, v in zip(messages(stream, 100), values, strict=True)]
    producer.commit(sent, at(stream, 7, "failed=3"), metadata(stream))
    assert [reply.value for reply in stream.replies(100)] == values
    assert committed(stream) == (7, "failed=3")
    producer.commit([], at(stream, 9), metadata(stream))
    assert committed(stream) == (9, "")
    producer.close()


def test_other_work_is_done_during_a_request_to_the_brokers(
    stream: Stream, new_producer: NewProducer
) -> None:
    steps: list[int] = []

    def step() -> bool:
        steps.append(len(steps))
        return len(steps) < 3

    new_producer().commit(messages(stream, 50), at(stream, 50), metadata(stream), step)
    assert steps
    assert len(stream.replies(50)) == 50


def test_a_producer_waits_for_space_in_a_full_queue(
    stream: Stream, new_producer: NewProducer
) -> None:
    small = {"producer": {"queue.buffering.max.messages": "10"}}
    new_producer(librdkafka=small).commit(messages(stream, 500), at(stream, 500), metadata(stream))
    assert len(stream.replies(500)) == 500


def test_a_refused_message_is_named_and_no_offset_is_committed(
    stream: Stream, new_producer: NewProducer, new_topic: Callable[..., str]
) -> None:
    producer = new_producer()
    producer.commit(messages(stream, 1), at(stream, 1), metadata(stream))
    small = new_topic("small", max_message_bytes="100000")
    large = messages(stream, 1, small)[0]._replace(value=b"z" * 200_000)
    with pytest.raises(NotCommitted) as caught:
        producer.commit([large], at(stream, 2), metadata(stream))
    refusal = caught.value.refusal
    assert refusal is not None
    assert (refusal.topic, refusal.source) == (small, (0, 0))
    assert 200_000 < refusal.size < 201_000
    assert not caught.value.unknown
    assert committed(stream) == (1, "")
    producer.commit(messages(stream, 1), at(stream, 2), metadata(stream))
    assert committed(stream) == (2, "")


def test_offsets_that_the_brokers_refuse_are_not_committed(
    stream: Stream, new_producer: NewProducer
) -> None:
    producer = new_producer()
    elsewhere = [TopicPartition(stream.settings.input_topic, 99, 5)]
    with pytest.raises(NotCommitted):
        producer.commit(messages(stream, 1), elsewhere, metadata(stream))
    producer.commit(messages(stream, 1), at(stream, 1), metadata(stream))
    assert committed(stream) == (1, "")


def test_a_closed_producer_can_be_started_again(stream: Stream, new_producer: NewProducer) -> None:
    producer = new_producer()
    producer.start()
    producer.start()
    producer.close()
    producer.close()
    producer.commit(messages(stream, 1), at(stream, 1), metadata(stream))
    assert committed(stream) == (1, "")


def after_a_commit(
    stream: Stream, transactional_id: str, **changes: object
) -> tuple[TransactionalProducer, Any]:
    """Returns a producer after one commit, with its client."""
    tried = transactional(stream, transactional_id, **changes)
    tried.commit(messages(stream, 1), at(stream, 1), metadata(stream))
    return tried, tried._producer


def test_a_fenced_producer_commits_nothing_and_then_creates_a_new_producer(
    stream: Stream, name: str
) -> None:
    first, second = transactional(stream, name), transactional(stream, name)
    first.commit(messages(stream, 1), at(stream, 1), metadata(stream))
    second.start()
    with pytest.raises(NotCommitted):
        first.commit(messages(stream, 1), at(stream, 2), metadata(stream))
    assert len(stream.replies(1)) == 1
    first.commit(messages(stream, 1), at(stream, 2), metadata(stream))
    assert len(stream.replies(2)) == 2


def test_a_transaction_that_exceeds_its_time_out_is_fenced_and_repeated(
    stream: Stream, name: str
) -> None:
    slow = transactional(stream, name, transaction_timeout_ms=1000)

    def a_long_time() -> Iterator[OutputMessage]:
        yield from messages(stream, 1)
        time.sleep(4)  # the broker checks for such transactions once a second
        yield from messages(stream, 1)

    with pytest.raises(NotCommitted):
        slow.commit(a_long_time(), at(stream, 1), metadata(stream))
    assert stream.replies(0) == []
    slow.commit(messages(stream, 2), at(stream, 1), metadata(stream))
    assert len(stream.replies(2)) == 2


def test_nothing_is_committed_if_a_topic_does_not_exist(stream: Stream, name: str) -> None:
    picky = transactional(stream, name, transaction_timeout_ms=2000)
    mixed = messages(stream, 1) + messages(stream, 1, topic=name + "-none")
    with pytest.raises(NotCommitted):
        picky.commit(mixed, at(stream, 1), metadata(stream))
    assert stream.replies(0) == []
    picky.commit(messages(stream, 1), at(stream, 1), metadata(stream))
    assert len(stream.replies(1)) == 1


def test_after_a_broken_connection_requests_of_the_last_producer_are_fenced(
    stream: Stream, name: str
) -> None:
    tried, last = after_a_commit(stream, name)
    broken = "127.0.0.1:9092/1: Disconnected (after 5ms in state UP)"
    tried._on_error(KafkaError(KafkaError._TRANSPORT, broken))
    tried.commit(messages(stream, 1), at(stream, 2), metadata(stream))
    last.begin_transaction()
    last.produce(stream.settings.output_topic, b"late")
    with pytest.raises(KafkaException, match="fenced"):
        last.commit_transaction(10)
    assert len(stream.replies(2)) == 2


def _at_once(_: ClientThread, function: Any, *args: Any, **__: Any) -> None:
    function(*args)


def _after_all_other_work(
    _: ClientThread, function: Any, *args: Any, while_waiting: Callable[[], bool], **__: Any
) -> None:
    while while_waiting():
        pass
    function(*args)


@pytest.mark.parametrize("call", [_at_once, _after_all_other_work])
def test_every_message_is_sent_however_long_the_brokers_take_for_the_offsets(
    stream: Stream, name: str, monkeypatch: pytest.MonkeyPatch, call: Any
) -> None:
    monkeypatch.setattr(ClientThread, "call", call)
    transactional(stream, name).commit(messages(stream, 500), at(stream, 500), metadata(stream))
    assert len(stream.replies(500)) == 500


def test_a_call_that_never_returns_times_out_and_is_repeated(
    stream: Stream, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    class Stuck(Producer):
        def send_offsets_to_transaction(self, *_: Any) -> None:
            released.wait()

    monkeypatch.setattr(producers_module, "_CALL_S", 2.0)
    monkeypatch.setattr(producers_module, "Producer", Stuck)
    tried = transactional(stream, name)
    with pytest.raises(NotCommitted, match="send_offsets_to_transaction did not return") as why:
        tried.commit(messages(stream, 1), at(stream, 1), metadata(stream))
    assert not why.value.unknown, "nothing was committed yet"
    monkeypatch.setattr(producers_module, "Producer", Producer)
    tried.commit(messages(stream, 1), at(stream, 1), metadata(stream))
    released.set()
    assert len(stream.replies(1)) == 1


def test_a_connection_that_a_broker_closes_is_noticed(stream: Stream, name: str) -> None:
    tried, last = after_a_commit(stream, name)
    closed = "localhost:9092/1: Disconnected: connection closed by peer (after 9ms in state UP)"
    tried._config["logger"].log(logging.INFO, "%s [%s] %s", "FAIL", "a#producer-1", closed)
    tried.commit(messages(stream, 1), at(stream, 2), metadata(stream))
    assert tried._producer is not last


def test_after_a_failed_transaction_a_new_producer_is_used(stream: Stream, name: str) -> None:
    tried, last = after_a_commit(stream, name, transaction_timeout_ms=2000)
    with pytest.raises(NotCommitted):
        tried.commit(messages(stream, 1, topic=name + "-none"), at(stream, 2), metadata(stream))
    tried.commit(messages(stream, 1), at(stream, 2), metadata(stream))
    assert tried._producer is not last
    assert len(stream.replies(2)) == 2


def test_an_unreachable_broker_does_not_cost_a_new_producer_each_time(
    stream: Stream, name: str
) -> None:
    tried, last = after_a_commit(stream, name)
    away = "127.0.0.1:9093/2: Connect to ipv4#127.0.0.1:9093 failed: Connection refused"
    tried._on_error(KafkaError(KafkaError._TRANSPORT, f"{away} (after 0ms in state CONNECT)"))
    tried.commit(messages(stream, 1), at(stream, 2), metadata(stream))
    assert tried._producer is last
