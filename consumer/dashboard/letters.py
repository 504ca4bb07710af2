"""The dead letters that pages show: the latest, and how often each was replayed."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from seldon_kafka.dead_letters.letters import (
    Envelope,
    RecordPosition,
    read_envelope,
    replayed_position,
)
from seldon_kafka.messages import Record

MOST_LETTERS = 2000


@dataclass(frozen=True)
class Shown:
    """A dead letter.

    Attributes:
        envelope: What is known of it without its content.
        replays: How often it was replayed since.
    """

    envelope: Envelope
    replays: int


class LetterBox:
    """The latest dead letters; safe to use from several threads.

    Attributes:
        version: Changes whenever something does.
    """

    def __init__(self, most: int = MOST_LETTERS) -> None:
        """Start empty.

        Args:
            most: How many are kept.
        """
        self.version = 0
        self._most = most
        self._letters: dict[RecordPosition, Envelope] = {}
        self._replays: Counter[RecordPosition] = Counter()
        self._lock = threading.Lock()

    def add(self, record: Record) -> None:
        """Take a message of the dead-letter topic in."""
        envelope = read_envelope(record)
        replayed = replayed_position(record) if envelope is None else None
        with self._lock:
            if envelope is not None:
                self._letters[envelope.at] = envelope
                while len(self._letters) > self._most:
                    self._replays.pop(next(iter(self._letters)), None)
                    self._letters.pop(next(iter(self._letters)))
            elif replayed in self._letters:
                self._replays[replayed] += 1
            self.version += 1

    def newest(self) -> list[Shown]:
        """All that are kept, the newest first."""
        with self._lock:
            every = [Shown(each, self._replays[at]) for at, each in self._letters.items()]
        return sorted(
            every, key=lambda each: (each.envelope.rejected_ms, each.envelope.at), reverse=True
        )
