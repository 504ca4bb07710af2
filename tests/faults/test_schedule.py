"""The schedule is reproducible and complete, and mixes only faults that may be mixed."""

from __future__ import annotations

import itertools

from tests.faults.catalogue import FAULTS
from tests.faults.schedule import packed, rounds


def names(seed: int, count: int) -> list[list[str]]:
    found = itertools.islice(rounds(FAULTS, seed), count)
    return [[fault.name for fault in together] for together in found]


def test_the_same_seed_gives_the_same_schedule_and_another_seed_another() -> None:
    assert names(7, 200) == names(7, 200)
    assert names(7, 200) != names(8, 200)


def test_every_fault_is_injected_alone_first() -> None:
    first = names(7, len(FAULTS))
    assert sorted(first) == sorted([fault.name] for fault in FAULTS)


def test_later_rounds_mix_faults_of_different_parts() -> None:
    mixed = list(itertools.islice(rounds(FAULTS, 7), len(FAULTS), len(FAULTS) + 200))
    assert sum(len(together) == 2 for together in mixed) > 100
    for together in mixed:
        assert all(fault.mixes for fault in together)
        assert len({fault.part for fault in together}) == len(together)


def test_each_fault_is_injected_once_if_none_can_be_mixed() -> None:
    alone = [fault for fault in FAULTS if not fault.mixes]
    assert alone
    assert sorted(f.name for r in rounds(alone, 7) for f in r) == sorted(f.name for f in alone)


def test_packed_rounds_have_every_fault_once_and_no_part_twice_at_a_time() -> None:
    rounds_of_all = packed(FAULTS, 7)
    assert len(rounds_of_all) < len(FAULTS) / 2
    assert sorted(f.name for r in rounds_of_all for f in r) == sorted(f.name for f in FAULTS)
    for together in rounds_of_all:
        assert len({fault.part for fault in together}) == len(together)


def test_every_fault_has_a_unique_name() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
