"""Which letters can be deleted: Kafka deletes from the start of a partition only."""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple

from seldon_kafka.dead_letters.index import Index
from seldon_kafka.dead_letters.letters import Envelope


class Plan(NamedTuple):
    """What a purge does.

    Attributes:
        before: by partition, the offset that all is deleted before; only where there is a letter.
        deleted: the selected letters that go.
        staying: the selected letters behind one that was not selected.
    """

    before: Dict[int, int]
    deleted: List[Envelope]
    staying: List[Envelope]


def plan(index: Index, ends: Mapping[int, int]) -> Plan:
    """Deletes each partition's first letters, up to the first that is to stay.

    Args:
        index: the letters.
        ends: by partition, the offset up to which messages were read for sure.
    """
    before: Dict[int, int] = {}
    deleted: List[Envelope] = []
    staying: List[Envelope] = []
    for letter in index.letters:
        partition, offset = letter.at
        if offset >= ends[partition]:
            # It came while the others were read: neither this purge's, nor in its way.
            continue
        limit = min(ends[partition], index.kept_from.get(partition, ends[partition]))
        if offset < limit:
            before[partition] = limit
            deleted.append(letter)
        else:
            staying.append(letter)
    return Plan(before, deleted, staying)
