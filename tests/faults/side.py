"""A stream of its own beside the main one, for faults that end with something lost or halted."""

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
from tests.faults.fleet import Replica
from tests.faults.images import message
from tests.faults.scene import Scene, delete_topics, make_topics, quiet, topics_of

PARTITIONS = 2


class Side:
    """Topics, a group and one replica, on the brokers of the main stream."""

    def __init__(self, scene: Scene, name: str, **served: str) -> None:
        group = f"{scene.settings.group_id}-{name}"
        self._scene = scene
        self.environ = {
            **scene.environ,
            "KAFKA_INPUT_TOPIC": f"{group}-input",
            "KAFKA_OUTPUT_TOPIC": f"{group}-output",
            "KAFKA_DEAD_LETTER_TOPIC": f"{group}-dead",
            "KAFKA_GROUP_ID": group,
            "KAFKA_STATE_DIR": str(scene.folder / f"state-{name}"),
        }
        self.settings = load_settings(self.environ)
        self.replica = Replica(f"side-{name}", self.environ, scene.folder, **served)  # type: ignore[arg-type]

    def end_replica(self) -> None:
        """Has the replica leave; at once if the run is being ended."""
        if self._scene.closing.is_set():
            self.replica.kill()
            return
        self.replica.terminate()
        self.replica.wait()

    def make(self, *names: str) -> None:
        """Makes topics of this stream."""
        make_topics(self._scene.admin, names, PARTITIONS, self._scene.replication)

    def send(self, messages: int) -> None:
        """Sends so many good images."""
        producer = Producer(quiet(producer_config(self.settings)))
        for number in range(messages):
            coded: Any = message(number)
            producer.produce(
                self.settings.input_topic,
                coded.value,
                key=b"%d" % number,
                partition=number % PARTITIONS,
                headers=coded.headers,
            )
            producer.poll(0)
        producer.flush(30)

    def read(self, topic: str) -> list[Record]:
        """What a `read_committed` reader finds in a topic now."""
        consumer: Any = Consumer(quiet(consumer_config(self.settings, "side-reader")))
        found: list[Record] = []
        try:
            for partition in range(PARTITIONS):
                place = TopicPartition(topic, partition)
                _, end = consumer.get_watermark_offsets(place, timeout=10)
                consumer.assign([TopicPartition(topic, partition, 0)])
                quiet_turns = 0
                while quiet_turns < 5:
                    got = [m for m in consumer.consume(1000, 0.2) if m.error() is None]
                    quiet_turns = 0 if got else quiet_turns + 1
                    found.extend(record_of(message) for message in got)
                    if end == 0:
                        break
        finally:
            consumer.close()
        return found

    def letters(self) -> list[Letter]:
        """The dead letters."""
        letters = [read_letter(record) for record in self.read(self.settings.dead_letter_topic)]
        return [letter for letter in letters if letter is not None]

    def logged(self, pattern: str) -> str | None:
        """The first line of the replica's log that matches, or None."""
        found = re.search(f"^.*{pattern}.*$", self.replica.log.read_text("utf-8"), re.MULTILINE)
        return found.group(0) if found else None


@contextlib.contextmanager
def side_stream(scene: Scene, name: str, *, output: bool = True, **served: str) -> Iterator[Side]:
    """A side stream, whose topics and replica are gone afterwards.

    Args:
        scene: whose brokers to use.
        name: of the stream; unique in the run.
        output: whether its output topic is made.
        served: `class_name` for another class than the main stream's.
    """
    side = Side(scene, name, **served)
    topics = topics_of(side.settings)
    try:
        side.make(*(topic for topic in topics if output or topic != side.settings.output_topic))
        yield side
    finally:
        if side.replica.runs:
            side.end_replica()
        delete_topics(scene.admin, topics)
