"""Runs the benchmark's brokers, fills topics with images, and reads when replies arrived."""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription, NewTopic
from numpy.typing import NDArray

from bench.payloads import payloads, repeated
from kafka.cluster.lease import leased
from kafka.guard import Guard
from seldon_kafka.topics.manage import await_usable

ROOT = Path(__file__).resolve().parents[1]
PARTITIONS = 8
_FLUSH_S = 120.0
_QUIET = logging.getLogger("bench.client")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class BenchError(Exception):
    """A measurement failed; the message says why."""


@dataclass(frozen=True)
class Arrivals:
    """When the broker appended the replies to a topic, and how many messages they answer.

    Attributes:
        times_ms: sorted times of the replies, in milliseconds since 1970.
        answered: number of different input messages with a reply, counted by the replies' keys.
    """

    times_ms: NDArray[np.int64]
    answered: int


class BenchCluster:
    """A running cluster with the topics of the benchmark.

    Args:
        bootstrap: bootstrap servers.
        brokers: number of brokers.
        images: images for the messages, uint8 (n, 28, 28).
    """

    def __init__(self, bootstrap: str, brokers: int, images: NDArray[np.uint8]) -> None:
        self.bootstrap = bootstrap
        self.brokers = brokers
        self.images = images
        self._admin = AdminClient(self.client())
        # Several benchmarks may use the same brokers, so names have a random part.
        self._run = secrets.token_hex(3)
        self._numbers = itertools.count(1)
        self._full: dict[tuple[str, int, int, int], str] = {}

    def client(self, **properties: Any) -> dict[str, Any]:
        """Returns the configuration of a client; `_` in a name stands for `.`."""
        config = {name.replace("_", "."): value for name, value in properties.items()}
        return {"bootstrap.servers": self.bootstrap, "logger": _QUIET, **config}

    def name(self, kind: str) -> str:
        """Returns a name that is unique on this cluster."""
        return f"bench-{kind}-{self._run}-{next(self._numbers)}"

    def new_topic(self, kind: str, partitions: int = PARTITIONS, **config: str) -> str:
        """Creates an empty topic with up to three replicas, and returns its name."""
        name = self.name(kind)
        copies = min(3, self.brokers)
        settings = {key.replace("_", "."): value for key, value in config.items()}
        settings.setdefault("max.message.bytes", str(8 * 1024 * 1024))
        if copies == 3:
            settings["min.insync.replicas"] = "2"
        topic = NewTopic(name, partitions, copies, config=settings)
        self._admin.create_topics([topic])[name].result()
        await_usable(self._admin, [name])
        return name

    def output_topic(self, partitions: int = PARTITIONS) -> str:
        """Creates a topic in which the broker sets the timestamps of replies; returns its name."""
        return self.new_topic("out", partitions, message_timestamp_type="LogAppendTime")

    def full_topic(
        self, format_name: str, count: int, per_message: int = 1, partitions: int = PARTITIONS
    ) -> str:
        """Returns the name of a topic full of messages, which are spread evenly over partitions.

        Later calls with the same arguments return the same topic, until it is deleted.

        Args:
            format_name: name of the wire format.
            count: number of messages.
            per_message: number of images in each message.
            partitions: number of partitions.
        """
        wanted = (format_name, count, per_message, partitions)
        if wanted not in self._full:
            topic = self.new_topic(f"in-{format_name}", partitions)
            self._fill(topic, *wanted)
            self._full[wanted] = topic
        return self._full[wanted]

    def _fill(
        self, topic: str, format_name: str, count: int, per_message: int, partitions: int
    ) -> None:
        producer = Producer(
            self.client(linger_ms=20, message_max_bytes=8 * 1024 * 1024, enable_idempotence=True)
        )
        made = list(payloads(format_name, self.images, per_message))
        for number, payload in enumerate(repeated(made, count)):
            while True:
                try:
                    producer.produce(
                        topic,
                        payload.value,
                        b"%d" % number,
                        partition=number % partitions,
                        headers=[*payload.headers],
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
        if producer.flush(_FLUSH_S):
            raise BenchError(f"the brokers did not take all of {count:,} messages")

    def drop(self, *topics: str) -> None:
        """Deletes topics."""
        for future in self._admin.delete_topics(list(topics)).values():
            future.result()
        self._full = {key: name for key, name in self._full.items() if name not in topics}

    def group(self, group_id: str) -> ConsumerGroupDescription | None:
        """Returns the description of a consumer group, or None if the brokers report an error."""
        try:
            request = self._admin.describe_consumer_groups([group_id], request_timeout=10)
            found: ConsumerGroupDescription = request[group_id].result()
        except KafkaException:
            return None
        return found

    def drop_full(self) -> None:
        """Deletes all full topics."""
        self.drop(*self._full.values())

    @contextmanager
    def watermarks(self, topic: str, partitions: int = PARTITIONS) -> Iterator[Watermarks]:
        """Opens a client that reads the end offsets of a topic, for the length of the block."""
        consumer = Consumer(self.client(group_id="bench-watermarks"))
        try:
            yield Watermarks(consumer, topic, partitions)
        finally:
            consumer.close()

    def arrivals(
        self, topic: str, count: int, within_s: float, partitions: int = PARTITIONS
    ) -> Arrivals:
        """Reads the replies in a topic with `read_committed`.

        Args:
            topic: topic of the replies.
            count: expected number of replies.
            within_s: time limit in seconds.
            partitions: number of partitions of the topic.

        Raises:
            BenchError: there are fewer or more replies than expected.
        """
        consumer = Consumer(
            self.client(
                group_id="bench-arrivals",
                isolation_level="read_committed",
                enable_partition_eof=True,
            )
        )
        consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
        times: list[Any] = []
        keys: set[Any] = set()
        ended: set[Any] = set()
        give_up_at = time.monotonic() + within_s
        while len(times) < count or len(ended) < partitions:
            for message in consumer.consume(10_000, 0.2):
                error = message.error()
                if error is None:
                    times.append(message.timestamp()[1])
                    keys.add(message.key())
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended.add(message.partition())
                else:
                    raise KafkaException(error)
            if time.monotonic() > give_up_at:
                break
        consumer.close()
        if len(times) != count:
            raise BenchError(
                f"{len(times):,} replies for {count:,} messages after {within_s:.0f} s"
            )
        return Arrivals(np.sort(np.array(times, np.int64)), len(keys))


class Watermarks:
    """Reads the end offsets of a topic.

    Args:
        consumer: client that asks the brokers.
        topic: name of the topic.
        partitions: number of partitions of the topic.
    """

    def __init__(self, consumer: Consumer, topic: str, partitions: int) -> None:
        self._consumer = consumer
        self._partitions = [TopicPartition(topic, number) for number in range(partitions)]

    def total(self) -> int:
        """Returns the sum of the end offsets, transaction markers included."""
        ends = 0
        for partition in self._partitions:
            try:
                found = self._consumer.get_watermark_offsets(partition, timeout=10)
            except KafkaException as error:
                # The leader of a new topic's partition may not know the topic yet.
                if not error.args[0].retriable():
                    raise
                found = None
            ends += found[1] if found else 0
        return ends


@contextmanager
def bench_cluster(brokers: int, images: NDArray[np.uint8]) -> Iterator[BenchCluster]:
    """Starts brokers for the benchmark; at the end, stops them and deletes their data."""
    folder = ROOT / f".cluster-bench-{brokers}"
    with closing(Guard()), leased(folder, brokers) as cluster:
        yield BenchCluster(cluster.bootstrap, brokers, images)


def broker_processes() -> list[psutil.Process]:
    """Returns the processes of the benchmark's brokers."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        if "kafka.Kafka" in command and ".cluster-bench-" in command:
            found.append(process)
    return found
