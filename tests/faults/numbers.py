"""A compact set of message numbers."""

from __future__ import annotations

_ROOM = 65_536


class Numbers:
    """A set of integers from 0 on; a byte for each up to the largest, so that millions fit."""

    def __init__(self) -> None:
        self._there = bytearray()

    def add(self, number: int) -> None:
        """Adds a number."""
        if number >= len(self._there):
            self._there.extend(bytes(number + _ROOM - len(self._there)))
        self._there[number] = 1

    def __contains__(self, number: int) -> bool:
        return 0 <= number < len(self._there) and bool(self._there[number])

    def __len__(self) -> int:
        return self._there.count(1)

    def without(self, others: Numbers) -> list[int]:
        """Returns the numbers that are not in `others`, in order."""
        return [n for n, there in enumerate(self._there) if there and n not in others]
