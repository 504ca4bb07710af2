"""Publishing survives what brokers and rivals do to a transaction."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from seldon_kafka.transport import transactions as transactions_module
from seldon_kafka.transport.deliveries import NotCommitted
from seldon_kafka.transport.output_messages import OutputMessage
from seldon_kafka.transport.transactions import TransactionalProducer
from tests.broker.stream import Stream
from tests.seldon_kafka.helpers import record

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


def metadata(stream: Stream) -> object:
    consumer = Consumer(
        {"bootstrap.servers": stream.environ["KAFKA_BROKER"], "group.id": stream.settings.group_id}
    )
    return consumer.consumer_group_metadata()


def after_a_commit(
    stream: Stream, transactional_id: str, **changes: object
) -> tuple[TransactionalProducer, Any]:
    """A producer that has committed once, and its client then."""
    tried = transactional(stream, transactional_id, **changes)
    tried.commit(messages(stream, 1), {0: 1}, metadata(stream))
    return tried, tried._producer


def test_a_fenced_producer_commits_nothing_and_then_makes_a_new_producer(
    stream: Stream, name: str
) -> None:
    first, second = transactional(stream, name), transactional(stream, name)
    first.commit(messages(stream, 1), {0: 1}, metadata(stream))
    second.start()
    with pytest.raises(NotCommitted):
        first.commit(messages(stream, 1), {0: 2}, metadata(stream))
    assert len(stream.replies(1)) == 1
    first.commit(messages(stream, 1), {0: 2}, metadata(stream))
    assert len(stream.replies(2)) == 2


def test_a_transaction_that_outlives_its_time_out_is_fenced_and_then_done_again(
    stream: Stream, name: str
) -> None:
    slow = transactional(stream, name, transaction_timeout_ms=1000)

    def a_long_time() -> Iterator[OutputMessage]:
        yield from messages(stream, 1)
        time.sleep(4)  # the broker looks for such transactions once a second
        yield from messages(stream, 1)

    with pytest.raises(NotCommitted):
        slow.commit(a_long_time(), {0: 1}, metadata(stream))
    assert stream.replies(0) == []
    slow.commit(messages(stream, 2), {0: 1}, metadata(stream))
    assert len(stream.replies(2)) == 2


def test_a_full_queue_is_waited_for(stream: Stream, name: str) -> None:
    small = {"producer": {"queue.buffering.max.messages": "10"}}
    transactional(stream, name, librdkafka=small).commit(
        messages(stream, 500), {0: 500}, metadata(stream)
    )
    assert len(stream.replies(500)) == 500


def test_a_topic_that_is_not_there_publishes_nothing(stream: Stream, name: str) -> None:
    picky = transactional(stream, name, transaction_timeout_ms=2000)
    mixed = messages(stream, 1) + messages(stream, 1, topic=name + "-none")
    with pytest.raises(NotCommitted):
        picky.commit(mixed, {0: 1}, metadata(stream))
    assert stream.replies(0) == []
    picky.commit(messages(stream, 1), {0: 1}, metadata(stream))
    assert len(stream.replies(1)) == 1


def test_a_message_that_the_broker_finds_too_large_is_told_apart(
    stream: Stream, name: str, new_topic: Callable[..., str]
) -> None:
    small = new_topic("small", max_message_bytes="100000")
    large = messages(stream, 1, small)[0]._replace(value=b"z" * 200_000)
    with pytest.raises(NotCommitted) as caught:
        transactional(stream, name).commit([large], {0: 1}, metadata(stream))
    refusal = caught.value.refusal
    assert refusal is not None
    assert (refusal.topic, refusal.source) == (small, (0, 0))
    assert 200_000 < refusal.size < 201_000


def test_after_a_broken_connection_what_the_last_producer_left_is_fenced(
    stream: Stream, name: str
) -> None:
    tried, last = after_a_commit(stream, name)
    broken = "127.0.0.1:9092/1: Disconnected (after 5ms in state UP)"
    tried._on_error(KafkaError(KafkaError._TRANSPORT, broken))
    tried.commit(messages(stream, 1), {0: 2}, metadata(stream))
    last.begin_transaction()
    last.produce(stream.settings.output_topic, b"late")
    with pytest.raises(KafkaException, match="fenced"):
        last.commit_transaction(10)
    assert len(stream.replies(2)) == 2


def _back_at_once(function: Any, *args: Any, **_: Any) -> None:
    function(*args)


def _back_when_all_else_is_done(
    function: Any, *args: Any, meanwhile: Callable[[], bool], **_: Any
) -> None:
    while meanwhile():
        pass
    function(*args)


@pytest.mark.parametrize("bounded_call", [_back_at_once, _back_when_all_else_is_done])
def test_all_is_published_however_long_the_brokers_take_for_the_positions(
    stream: Stream, name: str, monkeypatch: pytest.MonkeyPatch, bounded_call: Any
) -> None:
    monkeypatch.setattr(transactions_module, "bounded_call", bounded_call)
    transactional(stream, name).commit(messages(stream, 500), {0: 500}, metadata(stream))
    assert len(stream.replies(500)) == 500


def test_a_call_that_never_comes_back_is_given_up_and_done_again(
    stream: Stream, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    class Stuck(Producer):
        def send_offsets_to_transaction(self, *_: Any) -> None:
            released.wait()

    monkeypatch.setattr(transactions_module, "_CALL_S", 2.0)
    monkeypatch.setattr(transactions_module, "Producer", Stuck)
    tried = transactional(stream, name)
    with pytest.raises(NotCommitted, match="send_offsets_to_transaction did not come back") as why:
        tried.commit(messages(stream, 1), {0: 1}, metadata(stream))
    assert not why.value.unknown, "nothing was committed yet"
    monkeypatch.setattr(transactions_module, "Producer", Producer)
    tried.commit(messages(stream, 1), {0: 1}, metadata(stream))
    released.set()
    assert len(stream.replies(1)) == 1


def test_a_connection_that_is_closed_in_an_orderly_way_is_noticed(
    stream: Stream, name: str
) -> None:
    tried, last = after_a_commit(stream, name)
    closed = "localhost:9092/1: Disconnected: connection closed by peer (after 9ms in state UP)"
    tried._config["logger"].log(logging.INFO, "%s [%s] %s", "FAIL", "a#producer-1", closed)
    tried.commit(messages(stream, 1), {0: 2}, metadata(stream))
    assert tried._producer is not last


def test_after_a_transaction_that_failed_another_producer_goes_on(
    stream: Stream, name: str
) -> None:
    tried, last = after_a_commit(stream, name, transaction_timeout_ms=2000)
    with pytest.raises(NotCommitted):
        tried.commit(messages(stream, 1, topic=name + "-none"), {0: 2}, metadata(stream))
    tried.commit(messages(stream, 1), {0: 2}, metadata(stream))
    assert tried._producer is not last
    assert len(stream.replies(2)) == 2


def test_a_broker_that_stays_away_does_not_cost_a_new_producer_each_time(
    stream: Stream, name: str
) -> None:
    tried, last = after_a_commit(stream, name)
    away = "127.0.0.1:9093/2: Connect to ipv4#127.0.0.1:9093 failed: Connection refused"
    tried._on_error(KafkaError(KafkaError._TRANSPORT, f"{away} (after 0ms in state CONNECT)"))
    tried.commit(messages(stream, 1), {0: 2}, metadata(stream))
    assert tried._producer is last
