"""The order of faults: each alone first, then mixed with others, drawn from the seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.faults.fault import Fault

Round = tuple[Fault, ...]
"""Faults that are injected together."""


def packed(faults: Sequence[Fault], seed: int) -> list[Round]:
    """Returns few rounds with every fault once; each round has as many parts as possible.

    Args:
        faults: the possible faults.
        seed: seed of the order.
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
    """Yields rounds of faults, without end unless there is nothing to mix.

    The first rounds have each fault alone, in random order. The next ones mix two faults of
    different parts, and sometimes have one alone.

    Args:
        faults: the possible faults.
        seed: seed of the order.
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
