"""What the dead-letter topic holds, without the messages themselves."""

from __future__ import annotations

import dataclasses
from typing import Dict, Iterable, List

from seldon_kafka.dead_letters.letters import Envelope, Place, read_envelope, replayed_place
from seldon_kafka.dead_letters.selection import Selection
from seldon_kafka.messages import Record


@dataclasses.dataclass
class Index:
    """The selected letters, and what is known of the others.

    Attributes:
        letters: those selected, in the order of each partition.
        others: how many letters were not selected.
        replays: how often each replayed letter was replayed.
        kept_from: by partition, the offset of the first message that is neither a selected letter
            nor a marker: nothing from there on can be deleted.
    """

    letters: List[Envelope] = dataclasses.field(default_factory=list)
    others: int = 0
    replays: Dict[Place, int] = dataclasses.field(default_factory=dict)
    kept_from: Dict[int, int] = dataclasses.field(default_factory=dict)

    def is_replayed(self, letter: Envelope) -> bool:
        """Whether the letter was replayed at least once."""
        return letter.at in self.replays

    def attempts(self, letter: Envelope) -> int:
        """How often the letter's message was replayed, before and since it became this letter."""
        return letter.attempts + self.replays.get(letter.at, 0)

    def only(self, *, replayed: bool) -> Index:
        """Selects, of the selected letters, those that were replayed or those that were not."""
        kept_from = dict(self.kept_from)
        letters = []
        for letter in self.letters:
            if self.is_replayed(letter) is replayed:
                letters.append(letter)
            else:
                _keep(kept_from, letter.at.partition, letter.at.offset)
        others = self.others + len(self.letters) - len(letters)
        return Index(letters, others, self.replays, kept_from)


def index_of(records: Iterable[Record], selection: Selection) -> Index:
    """Looks through messages of the dead-letter topic; each partition's come in order."""
    index = Index()
    for record in records:
        letter = read_envelope(record)
        if letter is not None and selection.selects(letter):
            index.letters.append(letter)
            continue
        marked = None if letter is not None else replayed_place(record)
        if marked is not None:
            index.replays[marked] = index.replays.get(marked, 0) + 1
            continue
        index.others += letter is not None
        _keep(index.kept_from, record.partition, record.offset)
    return index


def _keep(kept_from: Dict[int, int], partition: int, offset: int) -> None:
    kept_from[partition] = min(offset, kept_from.get(partition, offset))
