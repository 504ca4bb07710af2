"""Plans a purge: Kafka deletes messages only from the start of a partition."""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple

from seldon_kafka.dead_letters.index import Index
from seldon_kafka.dead_letters.letters import Envelope


class Plan(NamedTuple):
    """The plan of a purge.

    Attributes:
        before: by partition, the offset before which messages are deleted.
        deleted: the selected dead letters that are deleted.
        staying: the selected dead letters after one that was not selected.
    """

    before: Dict[int, int]
    deleted: List[Envelope]
    staying: List[Envelope]


def plan(index: Index, ends: Mapping[int, int]) -> Plan:
    """Plans to delete each partition's first dead letters, up to the first one that stays.

    Args:
        index: the dead letters.
        ends: by partition, the offset up to which messages were read.
    """
    before: Dict[int, int] = {}
    deleted: List[Envelope] = []
    staying: List[Envelope] = []
    for letter in index.letters:
        partition, offset = letter.at
        if offset >= ends[partition]:
            # It arrived during the reading, so this purge does not concern it.
            continue
        limit = min(ends[partition], index.kept_from.get(partition, ends[partition]))
        if offset < limit:
            before[partition] = limit
            deleted.append(letter)
        else:
            staying.append(letter)
    return Plan(before, deleted, staying)
