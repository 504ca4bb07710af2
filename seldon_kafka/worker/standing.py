"""Where a worker stands in each of its partitions."""

from __future__ import annotations

from typing import Dict, Iterable, Mapping

from seldon_kafka.messages import Record


class Standing:
    """Positions, what is committed beside them, and ends that were seen.

    Attributes:
        positions: by partition, the offset to go on from: all before it is answered.
        notes: by partition, what is committed beside its position.
    """

    def __init__(self) -> None:
        self.positions: Dict[int, int] = {}
        self.notes: Dict[int, str] = {}
        self._ends: Dict[int, int] = {}

    def begin(self, positions: Mapping[int, int], notes: Mapping[int, str]) -> None:
        """Stands at these positions, and nowhere else."""
        self.positions = dict(positions)
        self.notes = {partition: notes[partition] for partition in positions}
        self._ends = {}

    def move(self, positions: Mapping[int, int], note: str) -> None:
        """Has committed these positions, with this note beside each."""
        for partition, offset in positions.items():
            if partition in self.positions:
                self.positions[partition] = offset
                self.notes[partition] = note

    def leave(self, partition: int) -> None:
        """Stands in this partition no longer."""
        for known in (self.positions, self.notes, self._ends):
            known.pop(partition, None)

    def noted_otherwise(self, note: str) -> Dict[int, int]:
        """Positions beside which another note was committed."""
        return {
            partition: position
            for partition, position in self.positions.items()
            if self.notes[partition] != note
        }

    def see_end(self, partition: int, offset: int) -> None:
        """All of the partition before this offset was handed over, or is not ours to answer."""
        self._ends[partition] = max(offset, self._ends.get(partition, offset))

    def passed(self, partition: int) -> int:
        """Up to where the partition was seen, as far as is known; -1 otherwise."""
        return self._ends.get(partition, -1)

    def forget_ends(self) -> None:
        """What was handed over is to come again, or is dealt with."""
        self._ends = {}

    def reached_ends(self, backlog: Iterable[Record]) -> Dict[int, int]:
        """Ends beyond our positions, past transaction markers, with nothing to be done before them.

        Args:
            backlog: what is still to be taken in hand.
        """
        past = {
            partition: end
            for partition, end in self._ends.items()
            if end > self.positions.get(partition, end)
        }
        if past:
            # Looked through only then: under load no end is seen, and the backlog is long.
            for partition in {record.partition for record in backlog}:
                past.pop(partition, None)
        return past
