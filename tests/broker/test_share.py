"""Two deployments share a stream by its keys: a canary and the deployment before it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable

from confluent_kafka import Consumer, TopicPartition

from seldon_kafka.messages import header
from tests.broker.test_supervisor import measured
from tests.support.ports import free_port
from tests.support.stream import Stream, assert_once_and_in_order, numbers, source, wait_until

PASSED = "kafka_worker_passed_messages_total"
NewStream = Callable[..., Stream]


def test_two_groups_with_two_shares_of_a_stream_answer_all_of_it_once(
    new_stream: NewStream,
) -> None:
    stream = new_stream(partitions=4)
    group = stream.environ["KAFKA_GROUP_ID"]
    stream.worker("Double", "stable", KAFKA_SHARE="0-70")
    stream.worker("Double", "canary", KAFKA_SHARE="70-100", KAFKA_GROUP_ID=f"{group}-canary")
    for _ in range(2):
        stream.send(numbers(400))
    replies = stream.replies(800)
    sources = [source(reply) for reply in replies]
    assert len(set(sources)) == len(sources) == 800
    # The deployments do not wait for each other, so only messages of one key are in order.
    latest: dict[bytes | None, int] = {}
    for reply in replies:
        offset = source(reply)[1]
        assert offset > latest.get(reply.key, -1)
        latest[reply.key] = offset

    workers = defaultdict(set)
    for reply in replies:
        workers[reply.key].add(header(reply.headers, "kafka-worker"))
    assert {len(found) for found in workers.values()} == {1}
    canary = sum(found == {b"canary.0"} for found in workers.values())
    assert 70 < canary < 170

    # Messages of the other share count as processed, so the lag reaches zero for autoscaling.
    wait_until(lambda: stream.lag() == 0, 20, "the stable group's lag is 0")
    stream.environ["KAFKA_GROUP_ID"] = f"{group}-canary"
    wait_until(lambda: stream.lag() == 0, 20, "the canary's lag is 0")


def test_a_shadow_deployment_answers_all_messages_to_its_own_topic(new_stream: NewStream) -> None:
    stream = new_stream(partitions=2)
    own = {
        "KAFKA_GROUP_ID": f"{stream.environ['KAFKA_GROUP_ID']}-shadow",
        "KAFKA_OUTPUT_TOPIC": stream.environ["KAFKA_DEAD_LETTER_TOPIC"],
        "KAFKA_DEAD_LETTER_TOPIC": stream.environ["KAFKA_OUTPUT_TOPIC"],
    }
    stream.worker("Double", "stable")
    stream.worker("Double", "shadow", **own)
    stream.send(numbers(100))
    assert_once_and_in_order(stream.replies(100), 100)
    assert_once_and_in_order(stream.read(own["KAFKA_OUTPUT_TOPIC"], 100), 100)


def _committed(stream: Stream) -> int:
    consumer = Consumer(stream.client({"group.id": stream.settings.group_id}))
    topic = stream.settings.input_topic
    try:
        places = [TopicPartition(topic, place) for place in range(stream.partitions)]
        return sum(max(0, each.offset) for each in consumer.committed(places, timeout=10))
    finally:
        consumer.close()


def test_messages_of_another_share_are_committed_while_they_arrive(new_stream: NewStream) -> None:
    stream = new_stream(partitions=2)
    port = free_port()
    stream.start(
        "seldon_kafka",
        "serve",
        "tests.support.classes.Double",
        KAFKA_SHARE="0-0",
        KAFKA_HTTP_PORT=str(port),
        KAFKA_SELDON_SERVER="off",
    )
    wait_until(stream.readers, 30, "it reads")
    ended = threading.Event()

    def send() -> None:
        # The interval is shorter than the one after which the worker calls a partition idle.
        while not ended.wait(0.02):
            stream.send(numbers(5))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        wait_until(lambda: _committed(stream) > 300, 30, "300 are committed")
        # The lag is above 0 all the time; the committed offset shows that the worker advances.
        wait_until(
            lambda: sum(each.value for each in measured(port, PASSED)) > 300, 10, "300 are counted"
        )
    finally:
        ended.set()
        sender.join()
