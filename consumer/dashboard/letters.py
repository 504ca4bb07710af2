"""The log of the latest dead letters, which all pages show."""

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
class LoggedLetter:
    """A dead letter, for the page.

    Attributes:
        envelope: position and headers of the dead letter, without its value.
        replays: number of times that the dead letter was replayed.
    """

    envelope: Envelope
    replays: int


class DeadLetterLog:
    """The latest dead letters; safe to use from several threads.

    Args:
        most: number of dead letters to keep.

    Attributes:
        version: number of messages that were added.
    """

    def __init__(self, most: int = MOST_LETTERS) -> None:
        self.version = 0
        self._most = most
        self._letters: dict[RecordPosition, Envelope] = {}
        self._replays: Counter[RecordPosition] = Counter()
        self._lock = threading.Lock()

    def add(self, record: Record) -> None:
        """Adds a message of the dead-letter topic: a dead letter, or the mark of a replay."""
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

    def newest(self) -> list[LoggedLetter]:
        """Returns all dead letters that are kept, the newest first."""
        with self._lock:
            every = [LoggedLetter(each, self._replays[at]) for at, each in self._letters.items()]
        return sorted(
            every, key=lambda each: (each.envelope.rejected_ms, each.envelope.at), reverse=True
        )
