"""A separate stream beside the main one, for faults that lose messages or stop consumption."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from seldon_kafka.config.clients import consumer_config, producer_config
from seldon_kafka.config.settings import load_settings
from seldon_kafka.dead_letters.letters import Letter, read_letter
from seldon_kafka.messages import Record
from seldon_kafka.transport.consumed import record_of
from tests.faults.context import RunContext, delete_topics, make_topics, quiet, topics_of
from tests.faults.images import message
from tests.faults.replica import Replica

PARTITIONS = 2


class SideStream:
    """Topics, a group and one replica, on the brokers of the main stream.

    Args:
        context: context of the run.
        name: name of the stream; unique in the run.
        options: `class_name` of another user model.
    """

    def __init__(self, context: RunContext, name: str, **options: str) -> None:
        group = f"{context.settings.group_id}-{name}"
        self._context = context
        self.environ = {
            **context.environ,
            "KAFKA_INPUT_TOPIC": f"{group}-input",
            "KAFKA_OUTPUT_TOPIC": f"{group}-output",
            "KAFKA_DEAD_LETTER_TOPIC": f"{group}-dead",
            "KAFKA_GROUP_ID": group,
            "KAFKA_STATE_DIR": str(context.folder / f"state-{name}"),
        }
        self.settings = load_settings(self.environ)
        self.replica = Replica(f"side-{name}", self.environ, context.folder, **options)  # type: ignore[arg-type]

    def end_replica(self) -> None:
        """Stops the replica; kills it if the run is ending."""
        if self._context.closing.is_set():
            self.replica.kill()
            return
        self.replica.terminate()
        self.replica.wait()

    def make(self, *names: str) -> None:
        """Creates topics of this stream."""
        make_topics(self._context.admin, names, PARTITIONS, self._context.replication)

    def send(self, messages: int) -> None:
        """Sends this number of valid messages."""
        producer = Producer(quiet(producer_config(self.settings)))
        for number in range(messages):
            encoded: Any = message(number)
            producer.produce(
                self.settings.input_topic,
                encoded.value,
                key=b"%d" % number,
                partition=number % PARTITIONS,
                headers=encoded.headers,
            )
            producer.poll(0)
        producer.flush(30)

    def read(self, topic: str) -> list[Record]:
        """Returns the messages that a `read_committed` reader gets from a topic now."""
        consumer: Any = Consumer(quiet(consumer_config(self.settings, "side-reader")))
        found: list[Record] = []
        try:
            for partition in range(PARTITIONS):
                start = TopicPartition(topic, partition)
                _, end = consumer.get_watermark_offsets(start, timeout=10)
                consumer.assign([TopicPartition(topic, partition, 0)])
                empty_polls = 0
                while empty_polls < 5:
                    got = [m for m in consumer.consume(1000, 0.2) if m.error() is None]
                    empty_polls = 0 if got else empty_polls + 1
                    found.extend(record_of(message) for message in got)
                    if end == 0:
                        break
        finally:
            consumer.close()
        return found

    def letters(self) -> list[Letter]:
        """Returns the dead letters."""
        letters = [read_letter(record) for record in self.read(self.settings.dead_letter_topic)]
        return [letter for letter in letters if letter is not None]

    def logged(self, pattern: str) -> str | None:
        """Returns the first line of the replica's log that matches, or None."""
        found = re.search(f"^.*{pattern}.*$", self.replica.log.read_text("utf-8"), re.MULTILINE)
        return found.group(0) if found else None


@contextlib.contextmanager
def side_stream(
    context: RunContext, name: str, *, output: bool = True, **options: str
) -> Iterator[SideStream]:
    """Creates a side stream, and deletes its topics and replica at the end.

    Args:
        context: context of the run.
        name: name of the stream; unique in the run.
        output: whether to create its output topic.
        options: `class_name` of another user model.
    """
    side = SideStream(context, name, **options)
    topics = topics_of(side.settings)
    try:
        side.make(*(topic for topic in topics if output or topic != side.settings.output_topic))
        yield side
    finally:
        if side.replica.runs:
            side.end_replica()
        delete_topics(context.admin, topics)
