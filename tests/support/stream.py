"""A pair of topics with workers between them, for tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from seldon_kafka.config.clients import admin_config
from seldon_kafka.config.settings import Settings, load_settings
from seldon_kafka.dead_letters.letters import Letter, read_letter
from seldon_kafka.messages import INPUT_OFFSET, INPUT_PARTITION, Headers, Record, header
from seldon_kafka.transport.consumed import record_of
from tests.support.patience import patient

ROOT = Path(__file__).resolve().parents[2]


def wait_until(condition: Callable[[], Any], within_s: float, what: str) -> Any:
    """Waits for a condition to become true, and returns what it returned.

    Args:
        within_s: a limit against hanging, for a quick machine; see `patient`.
    """
    within_s = patient(within_s)
    give_up_at = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < give_up_at, f"not within {within_s} s: {what}"
        time.sleep(0.05)


class Stream:
    """Topics, settings, and the processes that work on them."""

    def __init__(self, settings: dict[str, str], folder: Path, partitions: int) -> None:
        self.environ = settings
        self.folder = folder
        self.partitions = partitions
        self.processes: list[subprocess.Popen[bytes]] = []
        # Idempotent, or what it sends again after a broker's death stands in the input twice.
        config = {"message.max.bytes": 10_000_000, "enable.idempotence": True, "log_level": 2}
        self._producer = Producer(self.client(config))

    def client(self, config: dict[str, Any]) -> dict[str, Any]:
        """A client's configuration, with what the stream's brokers ask of clients."""
        return {**admin_config(self.settings), **config}

    @property
    def settings(self) -> Settings:
        return load_settings(self.environ)

    def send(
        self,
        values: Sequence[bytes | None],
        *,
        partition: int | None = None,
        headers: Headers = (),
        key: bytes | None = None,
    ) -> None:
        """Sends values, round robin over the partitions unless one is named."""
        for place, value in enumerate(values):
            self._producer.produce(
                self.settings.input_topic,
                value=value,
                key=key or b"key-%d" % place,
                partition=place % self.partitions if partition is None else partition,
                headers=[("seq", b"%d" % place), *headers],
                timestamp=1_700_000_000_000 + place,
            )
            self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def send_without_key(self, values: Sequence[bytes]) -> None:
        """Sends values that have no key, to the first partition."""
        for value in values:
            self._producer.produce(self.settings.input_topic, value=value, partition=0)
        assert self._producer.flush(30) == 0

    @property
    def whole_environ(self) -> dict[str, str]:
        """The stream's settings over this process's own environment."""
        return {**os.environ, **self.environ}

    def log(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def readers(self) -> set[str]:
        """Names of the workers whose latest assignment has partitions."""
        latest = dict(re.findall(r"(\S+) reads partitions \[(.*)\]", self.log()))
        return {worker for worker, partitions in latest.items() if partitions}

    def start(self, *command: str, **environ: str) -> subprocess.Popen[bytes]:
        """Starts `python -m command` with the stream's settings; its log is kept."""
        log = self.folder / f"{len(self.processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env={**self.whole_environ, **environ},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def start_piped(self, *command: str) -> subprocess.Popen[bytes]:
        """Starts `python -m command` with its output in a pipe."""
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=self.whole_environ,
            stdout=subprocess.PIPE,
        )
        self.processes.append(process)
        return process

    def worker(self, class_name: str, worker_id: str = "a", **environ: str) -> Any:
        """Starts a worker without a supervisor."""
        return self.start(
            "seldon_kafka",
            "worker",
            f"tests.support.classes.{class_name}",
            KAFKA_WORKER_ID=worker_id,
            **environ,
        )

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def read(self, topic: str, count: int, within_s: float = 40) -> list[Record]:
        """The first `count` committed messages of a topic, and whatever follows within 0.5 s.

        Args:
            within_s: a limit against hanging, for a quick machine; see `patient`.
        """
        consumer = Consumer(
            self.client(
                {
                    "group.id": "reader",
                    "isolation.level": "read_committed",
                    "enable.auto.commit": False,
                }
            )
        )
        found: list[Record] = []
        give_up_at = time.monotonic() + patient(within_s)
        try:
            places = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, place, 0) for place in places])
            while True:
                messages = consumer.consume(1000, 0.5)
                found.extend(record_of(message) for message in messages if message.error() is None)
                if not messages and len(found) >= count:
                    return found
                assert time.monotonic() < give_up_at, (
                    f"{len(found)} of {count} messages in {topic}:\n{self.log()[-3000:]}"
                )
        finally:
            consumer.close()

    def replies(self, count: int, within_s: float = 40) -> list[Record]:
        return self.read(self.settings.output_topic, count, within_s)

    def letters(self, count: int, within_s: float = 40) -> list[Letter]:
        records = self.read(self.settings.dead_letter_topic, count, within_s)
        letters = [read_letter(record) for record in records]
        assert None not in letters
        return [letter for letter in letters if letter is not None]

    def lag(self) -> int:
        """Messages that the group has not committed yet, transaction markers included."""
        return sum(self.lags().values())

    def lags(self) -> dict[int, int]:
        """The lag in each partition."""
        admin = Consumer(self.client({"group.id": self.settings.group_id}))
        topic = self.settings.input_topic
        try:
            places = [TopicPartition(topic, place) for place in range(self.partitions)]
            # On a new cluster the first group waits for the topic of offsets to be made.
            committed = wait_until(lambda: _unless_retriable(admin, places), 20, "a coordinator")
            ends = {
                place.partition: admin.get_watermark_offsets(place, timeout=10)[1]
                for place in committed
            }
            return {
                place.partition: ends[place.partition] - max(place.offset, 0) for place in committed
            }
        finally:
            admin.close()

    def admin(self) -> AdminClient:
        return AdminClient(self.client({"log_level": 2}))


def _unless_retriable(consumer: Consumer, places: list[TopicPartition]) -> Any:
    try:
        return consumer.committed(places, timeout=10)
    except KafkaException as error:
        code = error.args[0].code()
        if not (error.args[0].retriable() or code == KafkaError.NOT_COORDINATOR):
            raise
        return None


def source(record: Record) -> tuple[int, int]:
    """Partition and offset of the input that a reply answers."""
    return (
        int(header(record.headers, INPUT_PARTITION) or b"-1"),
        int(header(record.headers, INPUT_OFFSET) or b"-1"),
    )


def numbers(count: int, first: int = 1000) -> list[bytes]:
    """Requests with one row each: [n, -n]."""
    return [
        json.dumps({"data": {"ndarray": [[n, -n]]}}).encode() for n in range(first, first + count)
    ]


def assert_once_and_in_order(records: Sequence[Record], expected: int) -> None:
    """Each input answered once, and replies of one input partition in input order."""
    sources = [source(record) for record in records]
    assert (len(set(sources)), len(sources)) == (expected, expected)
    latest: dict[int, int] = {}
    for partition, offset in sources:
        assert offset > latest.get(partition, -1)
        latest[partition] = offset
