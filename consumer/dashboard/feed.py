"""Reads the output and the dead-letter topic for all pages, and goes on when brokers come back."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import closing
from typing import Any

from confluent_kafka import KafkaException, Message

from consumer.answers import InputPosition, read_answer
from consumer.dashboard.letters import LetterBox
from consumer.dashboard.results import ResultLog
from consumer.reader import Reader
from consumer.score import Score
from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.settings import Settings
from seldon_kafka.transport.consumed import record_of
from seldon_kafka.transport.snapshot import ReadError

log = logging.getLogger("consumer.dashboard")

_BATCH = 500
_POLL_S = 0.1
_AGAIN_S = 1.0
_LAST = 500
_SECONDS_KEPT = 60
# Pages look four times a second. To be handed each answer by itself would cost the brokers and
# this process more than all the rest.
_FETCH_BYTES = 2**17
_FETCH_WAIT_MS = 50


class Feed:
    """A thread that reads what comes out, from a little before its start.

    Attributes:
        results: Where it goes.
        letters: Dead letters, and which of them were replayed.
        score: How much, how right, how fast.
        trouble: Why nothing can be read, or nothing.
    """

    def __init__(self, settings: Settings, results: ResultLog, letters: LetterBox) -> None:
        """Prepare to read.

        Args:
            settings: Topics and brokers.
            results: Where answers go.
            letters: Where dead letters go.
        """
        self.results = results
        self.letters = letters
        self.score = Score(started_ms=int(1000 * time.time()))
        self.trouble = ""
        self._settings = settings
        self._next: dict[tuple[str, int], int] = {}
        self._rates: deque[tuple[int, int]] = deque(maxlen=_SECONDS_KEPT)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Start to read."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._closing.set()
        self._thread.join()

    def rate(self) -> float:
        """Messages a second, over the last whole seconds."""
        now = int(time.time())
        recent = [count for second, count in list(self._rates) if now - 4 < second < now]
        return sum(recent) / 3

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._read()
            except (ReadError, KafkaException) as error:
                self.trouble = str(error)
                self._closing.wait(_AGAIN_S)
            except Exception as error:
                log.exception("what comes can't be read")
                self.trouble = f"{type(error).__name__}: {error}"
                self._closing.wait(_AGAIN_S)

    def _read(self) -> None:
        settings = self._settings
        config: dict[str, Any] = consumer_config(
            settings,
            f"{settings.group_id}.dashboard",
            fetch_min_bytes=_FETCH_BYTES,
            fetch_wait_max_ms=_FETCH_WAIT_MS,
        )
        topics = [settings.output_topic, settings.dead_letter_topic]
        # What was read before brokers refused must not be counted twice.
        with closing(Reader(config, topics, last=_LAST, resume=self._next)) as reader:
            self.trouble = ""
            while not self._closing.is_set():
                found = reader.read(_BATCH, _POLL_S)
                came_s = time.time()
                for message in found:
                    self._safely_take(message, came_s)
                if found:
                    self._count(int(came_s), len(found))

    def _safely_take(self, message: Message, came_s: float) -> None:
        """One message that can't be shown must not keep the others from being read."""
        at = (str(message.topic()), message.partition() or 0, message.offset() or 0)
        try:
            self._take(message, at, came_s)
        except Exception:
            log.exception("the message at %s can't be shown", "/".join(map(str, at)))
        self._next[at[:2]] = at[2] + 1

    def _take(self, message: Message, at: InputPosition, came_s: float) -> None:
        if message.topic() == self._settings.dead_letter_topic:
            self.letters.add(record_of(message))
        answer = read_answer(message, self._settings.dead_letter_topic)
        if answer is None:
            return
        latency_ms = self.score.add(answer, 1000 * came_s)
        self.results.add(answer, at, came_s, latency_ms)

    def _count(self, second: int, messages: int) -> None:
        if self._rates and self._rates[-1][0] == second:
            self._rates[-1] = (second, self._rates[-1][1] + messages)
        else:
            self._rates.append((second, messages))
