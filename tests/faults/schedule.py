"""Which fault comes when: each alone first, then mixed with others, all drawn from the seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.faults.fault import Fault

Round = tuple[Fault, ...]
"""Faults that are injected together."""


def packed(faults: Sequence[Fault], seed: int) -> list[Round]:
    """Few rounds that have every fault once, each round with as many parts as there are left.

    Args:
        faults: those that can be injected.
        seed: the same seed gives the same rounds.
    """
    chance = random.Random(seed)
    left: dict[str, list[Fault]] = {}
    for fault in chance.sample(list(faults), len(faults)):
        left.setdefault(fault.part, []).append(fault)
    found: list[Round] = []
    while any(left.values()):
        found.append(tuple(of_part.pop() for of_part in left.values() if of_part))
    return found


def rounds(faults: Sequence[Fault], seed: int) -> Iterator[Round]:
    """Rounds of faults, which end only where there is nothing to mix.

    The first ones have each fault alone, in an order drawn from the seed; what follows is mixed:
    two faults that break different parts, with one alone now and then.

    Args:
        faults: those that can be injected.
        seed: the same seed gives the same rounds.
    """
    chance = random.Random(seed)
    alone = list(faults)
    chance.shuffle(alone)
    for fault in alone:
        yield (fault,)
    mixing = [fault for fault in faults if fault.mixes]
    while mixing:
        first = chance.choice(mixing)
        others = [fault for fault in mixing if fault.part != first.part]
        yield (first, chance.choice(others)) if others and chance.random() < 0.8 else (first,)
