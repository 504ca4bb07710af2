"""Proves that replays sent each dead letter as often as their markers say, by number."""

from __future__ import annotations

import collections

from seldon_kafka.dead_letters.letters import RecordPosition, replay_headers
from seldon_kafka.messages import Headers

_COPY_ENDS_WITH = [name for name, _ in replay_headers(1, 0)]


class Replays:
    """Is told every copy in the input topic, and every letter and marker in the other one."""

    def __init__(self) -> None:
        self._copies: collections.Counter[int] = collections.Counter()
        self._numbers: dict[RecordPosition, int] = {}
        self._markers: collections.Counter[RecordPosition] = collections.Counter()

    def copy(self, number: int) -> None:
        """A message of this number that a replay sent to the input topic."""
        self._copies[number] += 1

    def letter(self, place: RecordPosition, number: int) -> None:
        """A dead letter, and the number of the message in it."""
        self._numbers[place] = number

    def marker(self, place: RecordPosition) -> None:
        """A marker, which says that the letter at a place was sent again."""
        self._markers[place] += 1

    def verdict(self) -> tuple[int, int, list[str]]:
        """How many copies are lost and how many are doubled, and each message of them in words."""
        due: collections.Counter[int] = collections.Counter()
        notes = []
        lost = doubled = 0
        for place, count in self._markers.items():
            if place in self._numbers:
                due[self._numbers[place]] += count
            else:
                lost += count
                notes.append(f"lost: the dead letter at {place}, which a marker says was replayed")
        for number in sorted(due | self._copies):
            sent, marked = self._copies[number], due[number]
            if sent != marked:
                lost += max(0, marked - sent)
                doubled += max(0, sent - marked)
                what = "doubled" if sent > marked else "lost"
                notes.append(
                    f"{what}: replays sent message {number} {sent} times, and say {marked} times"
                )
        return lost, doubled, notes


def is_copy(headers: Headers) -> bool:
    """Whether these headers of an input are those of a message that a replay sent."""
    last = headers[-len(_COPY_ENDS_WITH) :]
    return [name for name, _ in last] == _COPY_ENDS_WITH
