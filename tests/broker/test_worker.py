"""Workers between real topics: answers once each, in order, with the message's identity."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from seldon_kafka.messages import header
from seldon_kafka.topics.manage import await_usable
from tests.support.patience import patient, promised
from tests.support.stream import (
    Stream,
    assert_once_and_in_order,
    numbers,
    source,
    wait_until,
)

NewStream = Callable[..., Stream]


def test_replies_carry_key_headers_and_timestamp_of_their_message(new_stream: NewStream) -> None:
    stream = new_stream()
    stream.send(numbers(60), headers=[("truth", b"7"), ("content-type", b"application/json")])
    stream.worker("Double")
    replies = stream.replies(60)
    assert_once_and_in_order(replies, 60)
    for reply in replies:
        place = int(header(reply.headers, "seq") or b"-1")
        assert json.loads(reply.value or b"")["data"]["ndarray"] == [[2 * n for n in _row(place)]]
        assert reply.key == b"key-%d" % place
        assert reply.timestamp_ms == 1_700_000_000_000 + place
        assert reply.partition == source(reply)[0]
        assert header(reply.headers, "truth") == b"7"
        assert header(reply.headers, "kafka-input-content-type") == b"application/json"
        assert header(reply.headers, "kafka-worker") == b"a.0"


def _row(place: int) -> list[int]:
    return [1000 + place, -1000 - place]


def test_repeated_kills_of_one_of_two_workers_lose_and_double_no_message(
    new_stream: NewStream,
) -> None:
    stream = new_stream(partitions=4)
    stream.worker("Double", "steady")
    victim = stream.worker("Double", "victim")
    wait_until(lambda: len(stream.readers()) == 2, 30, "both workers read")
    total = 0
    for _ in range(3):
        stream.send(numbers(1500))
        total += 1500
        wait_until(lambda: stream.lag() < 1400, 30, "some messages are answered")
        victim.kill()
        victim.wait()
        victim = stream.worker("Double", "victim")
    assert_once_and_in_order(stream.replies(total, within_s=60), total)
    wait_until(lambda: stream.lag() == 0, 20, "everything is committed")


def test_a_resumed_zombie_commits_nothing(new_stream: NewStream) -> None:
    stream = new_stream(partitions=2)
    zombie = stream.worker("Double", "zombie")
    stream.send(numbers(100))
    stream.replies(100)
    zombie.send_signal(signal.SIGSTOP)
    stream.send(numbers(500))
    stream.worker("Double", "heir")
    stream.replies(600)
    zombie.send_signal(signal.SIGCONT)
    stream.send(numbers(500))
    assert_once_and_in_order(stream.replies(1100), 1100)


def test_sigterm_commits_the_batch_in_flight_and_exits_0_within_seconds(
    new_stream: NewStream,
) -> None:
    stream = new_stream()
    worker = stream.worker("Double")
    stream.send(numbers(3000))
    wait_until(lambda: stream.lag() < 3000, 30, "work has begun")
    worker.terminate()
    assert worker.wait(promised(5)) == 0
    left = stream.lag()
    answered = stream.replies(3000 - left)
    assert_once_and_in_order(answered, 3000 - left)


def test_at_least_once_answers_everything_too(new_stream: NewStream) -> None:
    stream = new_stream()
    stream.send(numbers(500))
    stream.worker("Double", KAFKA_PROCESSING="at_least_once")
    assert_once_and_in_order(stream.replies(500), 500)
    wait_until(lambda: stream.lag() == 0, 10, "everything is committed")


def test_a_temporary_error_of_the_model_causes_no_dead_letter(
    new_stream: NewStream, tmp_path: Path
) -> None:
    stream = new_stream()
    down = tmp_path / "down"
    down.touch()
    stream.send([*numbers(10), b'{"data":{"ndarray":[[503,0]]}}'])
    stream.worker("Moody", MOODY_DOWN=str(down))
    wait_until(lambda: "the feature store is away" in stream.log(), 30, "the worker waits")
    down.unlink()
    assert_once_and_in_order(stream.replies(11), 11)
    assert stream.letters(0) == []


def test_a_worker_waits_for_its_output_topic_and_does_not_create_it(
    new_stream: NewStream, new_topic: Callable[..., str]
) -> None:
    stream = new_stream(output=False)
    stream.send(numbers(10))
    stream.worker("Double")
    wait_until(lambda: "seldon-kafka topics create" in stream.log(), 30, "the worker says so")
    assert stream.settings.output_topic not in stream.admin().list_topics(timeout=10).topics
    new_topic("out", partitions=3, retention_ms="-1")
    assert_once_and_in_order(stream.replies(10), 10)


@pytest.mark.full
def test_a_worker_that_gets_no_partitions_joins_again_with_a_new_consumer(
    new_stream: NewStream,
) -> None:
    stream = new_stream(partitions=2)
    # This member never polls again, so the group's rebalance waits for it.
    silent = Consumer(
        stream.client(
            {
                "group.id": stream.settings.group_id,
                "partition.assignment.strategy": "roundrobin",
                "max.poll.interval.ms": 600_000,
            }
        )
    )
    silent.subscribe([stream.settings.input_topic])
    wait_until(lambda: silent.poll(0.1) or silent.assignment(), 30, "the member has partitions")
    stream.worker("Double")
    stream.send(numbers(20))
    wait_until(lambda: "a new consumer joins the group" in stream.log(), 90, "the worker says so")
    silent.close()
    assert_once_and_in_order(stream.replies(20), 20)


def send_in_transactions(stream: Stream, partition: int) -> None:
    """Sends five messages that are committed, and five that are aborted."""
    config = {"transactional.id": stream.settings.group_id + "-sender"}
    producer = Producer(stream.client(config))
    producer.init_transactions()
    for end in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        for value in numbers(5):
            producer.produce(stream.settings.input_topic, value, partition=partition)
        producer.flush()
        end()


def test_lag_reaches_zero_past_transaction_markers(new_stream: NewStream) -> None:
    stream = new_stream(partitions=1)
    stream.worker("Double")
    send_in_transactions(stream, 0)
    assert len(stream.replies(5)) == 5
    wait_until(lambda: stream.lag() == 0, 15, "no lag is left")


def test_an_idle_partition_has_no_lag_while_another_is_busy(new_stream: NewStream) -> None:
    stream = new_stream(partitions=2)
    stream.worker("Double")
    enough = threading.Event()

    def feed() -> None:
        while not enough.wait(0.02):
            stream.send(numbers(1), partition=1)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        send_in_transactions(stream, 0)
        wait_until(lambda: stream.lags()[0] == 0, 20, "no lag is left in the quiet one")
    finally:
        enough.set()
        feeder.join()


def test_messages_deleted_before_they_were_read_are_reported(
    new_stream: NewStream,
) -> None:
    stream = new_stream(partitions=1)
    stream.send(numbers(10))
    worker = stream.worker("Double")
    stream.replies(10)
    worker.terminate()
    worker.wait(patient(5))
    stream.send(numbers(10))
    place = TopicPartition(stream.settings.input_topic, 0, 15)
    admin = stream.admin()
    for future in admin.delete_records([place]).values():
        future.result()
    stopped = stream.worker("Double")
    assert stopped.wait(patient(30)) == 70
    assert "5 messages from offset 10 on were deleted" in stream.log()
    stream.worker("Double", KAFKA_ON_GAP="continue")
    assert len(stream.replies(15)) == 15


def test_a_new_group_may_start_at_the_end(new_stream: NewStream) -> None:
    stream = new_stream()
    stream.send(numbers(10))
    stream.worker("Double", KAFKA_START="latest")
    wait_until(lambda: "reads partitions [0, 1, 2]" in stream.log(), 30, "the worker reads")
    stream.send(numbers(4, first=5000))
    replies = stream.replies(4)
    assert sorted(source(reply)[1] for reply in replies) == [3, 3, 4, 5]


def test_a_second_worker_with_the_same_id_on_one_machine_is_refused(new_stream: NewStream) -> None:
    stream = new_stream()
    stream.worker("Double", "same")
    wait_until(lambda: "reads partitions" in stream.log(), 30, "the first worker reads")
    assert stream.worker("Double", "same").wait(patient(20)) == 2
    assert "KAFKA_WORKER_ID of its own" in stream.log()


def test_a_worker_recovers_from_a_deleted_topic(
    new_stream: NewStream, new_topic: Callable[..., str]
) -> None:
    stream = new_stream()
    stream.worker("Double")
    stream.send(numbers(30))
    stream.replies(30)
    admin = stream.admin()
    output = stream.settings.output_topic
    admin.delete_topics([output])[output].result()
    wait_until(lambda: output not in admin.list_topics(timeout=10).topics, 10, "it is gone")
    stream.send(numbers(30))
    time.sleep(1)
    new_topic("out", partitions=3, retention_ms="-1")
    await_usable(admin, [output])
    assert_once_and_in_order(stream.replies(30, within_s=60), 30)


def test_a_class_for_texts_is_served_as_well(new_stream: NewStream) -> None:
    stream = new_stream()
    stream.send([b'{"data":{"ndarray":["This is an input"]}}'] * 5)
    stream.start("seldon_kafka", "worker", "tests.image.text.TextClassifier.TextClassifier")
    for reply in stream.replies(5):
        answer: dict[str, Any] = json.loads(reply.value or b"")
        assert answer["data"]["names"] == ["t:0", "t:1"]
        assert answer["meta"]["puid"]


def test_sigterm_does_not_wait_for_a_slow_classs_backlog(new_stream: NewStream) -> None:
    stream = new_stream()
    worker = stream.worker("Slow")
    stream.send(numbers(500))
    wait_until(lambda: stream.lag() < 500, 30, "work has begun")
    worker.terminate()
    assert worker.wait(promised(3)) == 0
    answered = 500 - stream.lag()
    assert_once_and_in_order(stream.replies(answered), answered)


@pytest.mark.full
def test_partitions_that_return_during_a_backlog_are_read_on(new_stream: NewStream) -> None:
    stream = new_stream(partitions=4)
    # The call takes longer than the worker's limit between two polls of the group.
    stream.worker("Slow", "first", SLOW_S="0.03")
    stream.send(numbers(600))
    wait_until(lambda: stream.lag() < 550, 30, "work has begun")
    second = stream.worker("Slow", "second", SLOW_S="0.03")
    wait_until(lambda: len(stream.readers()) == 2, 30, "both read")
    second.terminate()
    second.wait(patient(10))
    stream.worker("Slow", "second", SLOW_S="0.03")
    assert_once_and_in_order(stream.replies(600, within_s=60), 600)


def test_messages_fit_a_topic_whose_limit_was_lowered(new_stream: NewStream) -> None:
    stream = new_stream(partitions=1)
    stream.worker("Double")
    stream.send(numbers(1))
    stream.replies(1)
    output = ConfigResource(ResourceType.TOPIC, stream.settings.output_topic)
    output.add_incremental_config(
        ConfigEntry("max.message.bytes", "20000", incremental_operation=AlterConfigOpType.SET)
    )
    admin = stream.admin()
    for future in admin.incremental_alter_configs([output]).values():
        future.result()
    wide = [json.dumps({"data": {"ndarray": [[n] * 1000]}}).encode() for n in range(60)]
    wide[30] = json.dumps({"data": {"ndarray": [[7] * 20_000]}}).encode()
    stream.send(wide)
    assert len(stream.replies(60)) == 60
    (letter,) = stream.letters(1)
    assert letter.reason == "reply_too_large"
