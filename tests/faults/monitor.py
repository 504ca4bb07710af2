"""Reads the output topic, and measures how long its partitions stall."""

from __future__ import annotations

import threading
import time
from collections.abc import Set as AbstractSet

from confluent_kafka import Consumer, TopicPartition

from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.settings import Settings


class Monitor:
    """A `read_committed` reader of the output topic, in a thread.

    Every partition gets messages all the time, so the time between two of them is a stall of its
    readers.

    Args:
        settings: brokers and topic.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen: dict[int, float] = {}
        self._stall_s = 0.0
        self._partitions: AbstractSet[int] = frozenset()
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Starts to read new messages."""
        self._thread.start()

    def stop(self) -> None:
        """Stops reading, if it was started."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()

    def problems(self) -> list[str]:
        """Returns why the measured stalls are unreliable, or nothing. Call it before `stop`."""
        found = []
        if not self._thread.is_alive():
            found.append("the monitor of the output topic ended early")
        unseen = sorted(self._partitions - self._seen.keys())
        if unseen or not self._partitions:
            found.append(f"the monitor read nothing of output partitions {unseen or 'at all'}")
        return found

    def begin(self) -> None:
        """Starts a new measurement."""
        with self._lock:
            now = time.monotonic()
            self._stall_s = 0.0
            self._seen = dict.fromkeys(self._seen, now)

    def longest_stall_s(self) -> float:
        """Returns the longest stall of a partition since `begin`, in seconds."""
        with self._lock:
            now = time.monotonic()
            return max([self._stall_s, *(now - seen for seen in self._seen.values())])

    def _watch(self) -> None:
        consumer = Consumer(
            consumer_config(
                self._settings,
                f"{self._settings.group_id}.monitor",
                client_id="monitor",
                auto_offset_reset="earliest",
            )
        )
        topic = self._settings.output_topic
        self._partitions = frozenset(
            consumer.list_topics(topic, timeout=30).topics[topic].partitions
        )
        starts = [
            TopicPartition(
                topic, number, consumer.get_watermark_offsets(TopicPartition(topic, number))[1]
            )
            for number in self._partitions
        ]
        consumer.assign(starts)
        try:
            while not self._ending.is_set():
                self._record([m for m in consumer.consume(2000, 0.1) if m.error() is None])
        finally:
            consumer.close()

    def _record(self, messages: list[object]) -> None:
        now = time.monotonic()
        partitions = {message.partition() for message in messages}  # type: ignore[attr-defined]
        with self._lock:
            for partition in partitions:
                self._stall_s = max(self._stall_s, now - self._seen.get(partition, now))
                self._seen[partition] = now
