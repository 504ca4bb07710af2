"""Indexes the dead-letter topic without the values of its messages, and plans a purge."""

from __future__ import annotations

import dataclasses
from typing import Dict, Iterable, List, Mapping, NamedTuple

from seldon_kafka.dead_letters.letters import (
    Envelope,
    RecordPosition,
    read_envelope,
    replayed_position,
)
from seldon_kafka.dead_letters.selection import Selection
from seldon_kafka.messages import Record


@dataclasses.dataclass
class Index:
    """The selected dead letters, and facts about the other messages of the topic.

    Attributes:
        letters: the selected dead letters, in offset order within each partition.
        others: number of dead letters that were not selected.
        replays: number of replays, by the position of the replayed dead letter.
        kept_from: by partition, the offset of the first message that is neither a selected dead
            letter nor a marker. Messages from this offset on can't be deleted.
    """

    letters: List[Envelope] = dataclasses.field(default_factory=list)
    others: int = 0
    replays: Dict[RecordPosition, int] = dataclasses.field(default_factory=dict)
    kept_from: Dict[int, int] = dataclasses.field(default_factory=dict)

    def is_replayed(self, letter: Envelope) -> bool:
        """Returns whether a dead letter was replayed at least once."""
        return letter.at in self.replays

    def attempts(self, letter: Envelope) -> int:
        """Returns how often the original message was replayed, before this rejection and since."""
        return letter.attempts + self.replays.get(letter.at, 0)

    def only(self, *, replayed: bool) -> Index:
        """Returns an index that selects only replayed dead letters, or only those not replayed."""
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
    """Indexes messages of the dead-letter topic, which are in offset order per partition."""
    index = Index()
    for record in records:
        letter = read_envelope(record)
        if letter is not None and selection.selects(letter):
            index.letters.append(letter)
            continue
        marked = None if letter is not None else replayed_position(record)
        if marked is not None:
            index.replays[marked] = index.replays.get(marked, 0) + 1
            continue
        index.others += letter is not None
        _keep(index.kept_from, record.partition, record.offset)
    return index


def _keep(kept_from: Dict[int, int], partition: int, offset: int) -> None:
    kept_from[partition] = min(offset, kept_from.get(partition, offset))


class Plan(NamedTuple):
    """The plan of a purge.

    Attributes:
        before: by partition, the offset before which messages are deleted.
        deleted: the selected dead letters that the purge can delete.
        staying: the selected dead letters that can't be deleted, because a message before them
            stays.
    """

    before: Dict[int, int]
    deleted: List[Envelope]
    staying: List[Envelope]


def plan(index: Index, ends: Mapping[int, int]) -> Plan:
    """Plans to delete the first messages of each partition, up to the first one that stays.

    Args:
        index: the dead letters.
        ends: by partition, the offset after the last message that was read.
    """
    before: Dict[int, int] = {}
    deleted: List[Envelope] = []
    staying: List[Envelope] = []
    for letter in index.letters:
        partition, offset = letter.at
        if offset >= ends[partition]:
            # The letter arrived after the end was read, so this purge ignores it.
            continue
        limit = min(ends[partition], index.kept_from.get(partition, ends[partition]))
        if offset < limit:
            before[partition] = limit
            deleted.append(letter)
        else:
            staying.append(letter)
    return Plan(before, deleted, staying)
