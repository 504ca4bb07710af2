"""Reads the output topic and the dead-letter topic for all pages."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import closing
from typing import Any

from confluent_kafka import KafkaException, Message

from consumer.answers import read_answer
from consumer.dashboard.letters import DeadLetterLog
from consumer.dashboard.results import ResultLog
from consumer.reader import Reader
from consumer.score import Score
from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import InputPosition
from seldon_kafka.transport.consumed import record_of
from seldon_kafka.transport.snapshot import ReadError

log = logging.getLogger("consumer.dashboard")

_BATCH = 500
_POLL_S = 0.1
_RETRY_S = 1.0
_LAST = 500
_SECONDS_KEPT = 60
# A broker collects answers for 50 ms, or until it has 128 KiB, because a fetch request for each
# answer would cost much. The delay is not visible: pages are refreshed only four times a second.
_FETCH_BYTES = 2**17
_FETCH_WAIT_MS = 50


class Feed:
    """A thread that reads answers, and starts again after errors.

    The thread starts with the last 500 messages of each partition.

    Args:
        settings: topics and brokers.
        results: log that gets the answers.
        letters: log that gets the dead letters.

    Attributes:
        results: the log of results.
        letters: the log of dead letters.
        score: counts of the answers.
        error: reason why the topics can't be read; empty if they are read.
    """

    def __init__(self, settings: Settings, results: ResultLog, letters: DeadLetterLog) -> None:
        self.results = results
        self.letters = letters
        self.score = Score(started_ms=int(1000 * time.time()))
        self.error = ""
        self._settings = settings
        self._next: dict[tuple[str, int], int] = {}
        self._rates: deque[tuple[int, int]] = deque(maxlen=_SECONDS_KEPT)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stops the thread."""
        self._closing.set()
        self._thread.join()

    def rate(self) -> float:
        """Returns the number of messages per second in the last three whole seconds."""
        now = int(time.time())
        recent = [count for second, count in list(self._rates) if now - 4 < second < now]
        return sum(recent) / 3

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._read()
            except (ReadError, KafkaException) as error:
                self.error = str(error)
                self._closing.wait(_RETRY_S)
            except Exception as error:
                log.exception("the answers can't be read")
                self.error = f"{type(error).__name__}: {error}"
                self._closing.wait(_RETRY_S)

    def _read(self) -> None:
        settings = self._settings
        config: dict[str, Any] = consumer_config(
            settings,
            f"{settings.group_id}.dashboard",
            fetch_min_bytes=_FETCH_BYTES,
            fetch_wait_max_ms=_FETCH_WAIT_MS,
        )
        topics = [settings.output_topic, settings.dead_letter_topic]
        # After an error, the new reader resumes after the last message, so that no message is
        # counted twice.
        with closing(Reader(config, topics, last=_LAST, resume=self._next)) as reader:
            self.error = ""
            while not self._closing.is_set():
                found = reader.read(_BATCH, _POLL_S)
                received_s = time.time()
                for message in found:
                    self._add_safely(message, received_s)
                if found:
                    self._count(int(received_s), len(found))

    def _add_safely(self, message: Message, received_s: float) -> None:
        """Adds a message. An error is logged, so that the other messages are still read."""
        position = (str(message.topic()), message.partition() or 0, message.offset() or 0)
        try:
            self._add(message, position, received_s)
        except Exception:
            log.exception("the message at %s can't be read", "/".join(map(str, position)))
        self._next[position[:2]] = position[2] + 1

    def _add(self, message: Message, position: InputPosition, received_s: float) -> None:
        if message.topic() == self._settings.dead_letter_topic:
            self.letters.add(record_of(message))
        answer = read_answer(message, self._settings.dead_letter_topic)
        if answer is None:
            return
        latency_ms = self.score.add(answer, 1000 * received_s)
        self.results.add(answer, position, received_s, latency_ms)

    def _count(self, second: int, messages: int) -> None:
        if self._rates and self._rates[-1][0] == second:
            self._rates[-1] = (second, self._rates[-1][1] + messages)
        else:
            self._rates.append((second, messages))
