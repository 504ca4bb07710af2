"""Watches how far the group is behind, without ever holding up who wants to know."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException

from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.settings import Settings
from seldon_kafka.topics.report import report


class Lag(NamedTuple):
    """One look at the lag.

    Attributes:
        by_partition: messages (and transaction markers) behind, by partition of the input topic.
        seen_s: when, by `time.monotonic`.
        number: how many looks there were, this one included.
    """

    by_partition: Mapping[int, int]
    seen_s: float
    number: int

    @property
    def total(self) -> int:
        """Over all partitions."""
        return sum(self.by_partition.values())


class LagWatch:
    """Looks again and again, from a thread of its own.

    Args:
        settings: group, topic and brokers.
        interval_s: seconds between two looks.

    Attributes:
        trouble: why the latest look failed, or nothing.
    """

    def __init__(self, settings: Settings, interval_s: float) -> None:
        self.interval_s = interval_s
        self.trouble = ""
        self._settings = settings
        self._latest: Lag | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Starts to look."""
        self._thread.start()

    def close(self) -> None:
        """Stops looking; a look that waits for brokers is not waited for."""
        self._closing.set()

    def latest(self) -> Lag | None:
        """The latest look that succeeded, if the one after it has not failed."""
        return None if self.trouble else self._latest

    def _run(self) -> None:
        consumer = Consumer(consumer_config(self._settings, self._settings.group_id))
        number = 0
        while not self._closing.is_set():
            try:
                by_partition = _look(consumer, self._settings.input_topic)
            except KafkaException as error:
                self.trouble = error.args[0].str()
            else:
                number += 1
                self._latest = Lag(by_partition, time.monotonic(), number)
                self.trouble = "" if by_partition else f"no topic {self._settings.input_topic}"
            self._closing.wait(self.interval_s)
        consumer.close()


def _look(consumer: Consumer, topic: str) -> dict[int, int]:
    """The lag by partition; where nothing was committed yet, all that is there is to be done."""
    partitions = report(consumer, [topic])[0].partitions or ()
    return {each.partition: each.behind for each in partitions}
