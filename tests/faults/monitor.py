"""Watches the output topic as a reader does, and says for how long it stood still."""

from __future__ import annotations

import threading
import time
from collections.abc import Set as AbstractSet

from confluent_kafka import Consumer, TopicPartition

from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.settings import Settings


class Monitor:
    """A `read_committed` reader of the output topic, in a thread of its own.

    Every partition gets messages all the time; so the time between two of them is how long its
    readers were held up.

    Args:
        settings: which topic, and where.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen: dict[int, float] = {}
        self._stall_s = 0.0
        self._places: AbstractSet[int] = frozenset()
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begins to watch what comes from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Ends watching, if it has begun."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()

    def problems(self) -> list[str]:
        """Why what it says can't be relied on; nothing if it can. To be asked before `stop`."""
        found = []
        if not self._thread.is_alive():
            found.append("the monitor of the output topic has ended")
        unseen = sorted(self._places - self._seen.keys())
        if unseen or not self._places:
            found.append(f"the monitor saw nothing of output partitions {unseen or 'at all'}")
        return found

    def begin(self) -> None:
        """A time of interest begins."""
        with self._lock:
            now = time.monotonic()
            self._stall_s = 0.0
            self._seen = dict.fromkeys(self._seen, now)

    def longest_stall_s(self) -> float:
        """The longest that a partition stood still since `begin`, up to now."""
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
        self._places = frozenset(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
        starts = [
            TopicPartition(
                topic, place, consumer.get_watermark_offsets(TopicPartition(topic, place))[1]
            )
            for place in self._places
        ]
        consumer.assign(starts)
        try:
            while not self._ending.is_set():
                self._note([m for m in consumer.consume(2000, 0.1) if m.error() is None])
        finally:
            consumer.close()

    def _note(self, messages: list[object]) -> None:
        now = time.monotonic()
        partitions = {message.partition() for message in messages}  # type: ignore[attr-defined]
        with self._lock:
            for partition in partitions:
                self._stall_s = max(self._stall_s, now - self._seen.get(partition, now))
                self._seen[partition] = now
