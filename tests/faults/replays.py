"""Checks that replays sent each dead letter as often as their markers say."""

from __future__ import annotations

import collections

from seldon_kafka.dead_letters.letters import RecordPosition, replay_headers
from seldon_kafka.messages import Headers

_COPY_ENDS_WITH = [name for name, _ in replay_headers(1, 0)]


class Replays:
    """Counts the copies in the input topic, and the dead letters and markers of replays."""

    def __init__(self) -> None:
        self._copies: collections.Counter[int] = collections.Counter()
        self._numbers: dict[RecordPosition, int] = {}
        self._markers: collections.Counter[RecordPosition] = collections.Counter()

    def copy(self, number: int) -> None:
        """Adds a message that a replay sent to the input topic."""
        self._copies[number] += 1

    def letter(self, position: RecordPosition, number: int) -> None:
        """Adds a dead letter, with the number of its message."""
        self._numbers[position] = number

    def marker(self, position: RecordPosition) -> None:
        """Adds a marker, which says that the dead letter at this position was sent again."""
        self._markers[position] += 1

    def verdict(self) -> tuple[int, int, list[str]]:
        """Returns the numbers of lost and doubled copies, and a description of each."""
        due: collections.Counter[int] = collections.Counter()
        problems = []
        lost = doubled = 0
        for position, count in self._markers.items():
            if position in self._numbers:
                due[self._numbers[position]] += count
            else:
                lost += count
                problems.append(
                    f"lost: the dead letter at {position}, which a marker says was replayed"
                )
        for number in sorted(due | self._copies):
            sent, marked = self._copies[number], due[number]
            if sent != marked:
                lost += max(0, marked - sent)
                doubled += max(0, sent - marked)
                what = "doubled" if sent > marked else "lost"
                problems.append(
                    f"{what}: replays sent message {number} {sent} times, and say {marked} times"
                )
        return lost, doubled, problems


def is_copy(headers: Headers) -> bool:
    """Returns whether an input with these headers was sent by a replay."""
    last = headers[-len(_COPY_ENDS_WITH) :]
    return [name for name, _ in last] == _COPY_ENDS_WITH
