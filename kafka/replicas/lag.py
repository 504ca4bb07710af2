"""Queries the lag of a group in a background thread, so that readers never wait."""

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
    """The result of one query of the lag.

    Attributes:
        by_partition: lag in offsets, by partition of the input topic. Transaction markers count
            too.
        at_s: time of the query, in seconds of `time.monotonic`.
        number: number of the result, from 1; queries that failed do not count.
    """

    by_partition: Mapping[int, int]
    at_s: float
    number: int

    @property
    def total(self) -> int:
        """Sum of the lags of all partitions."""
        return sum(self.by_partition.values())


class LagWatch:
    """Queries the lag at an interval, in a background thread.

    Args:
        settings: group, topic and brokers.
        interval_s: seconds between two queries.

    Attributes:
        interval_s: seconds between two queries; may be changed.
        error: error of the latest query; empty if the query succeeded.
    """

    def __init__(self, settings: Settings, interval_s: float) -> None:
        self.interval_s = interval_s
        self.error = ""
        self._settings = settings
        self._latest: Lag | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Asks the thread to stop, and does not wait for a query that is under way."""
        self._closing.set()

    def latest(self) -> Lag | None:
        """Returns the result of the latest query; None if it failed, or before the first result."""
        return None if self.error else self._latest

    def _run(self) -> None:
        consumer = Consumer(consumer_config(self._settings, self._settings.group_id))
        number = 0
        while not self._closing.is_set():
            try:
                by_partition = _query(consumer, self._settings.input_topic)
            except KafkaException as error:
                self.error = error.args[0].str()
            else:
                number += 1
                self._latest = Lag(by_partition, time.monotonic(), number)
                self.error = "" if by_partition else f"no topic {self._settings.input_topic}"
            self._closing.wait(self.interval_s)
        consumer.close()


def _query(consumer: Consumer, topic: str) -> dict[int, int]:
    """Returns the lag by partition; empty if the topic does not exist.

    In a partition without a committed offset, all messages count.
    """
    partitions = report(consumer, [topic])[0].partitions or ()
    return {each.partition: each.behind for each in partitions}
