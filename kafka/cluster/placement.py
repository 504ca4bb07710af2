"""Which broker keeps which partition: pure functions, no broker asked."""

from __future__ import annotations

from collections import Counter
from collections import Counter as CounterOf
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Placement:
    """A partition and the brokers that keep it, the preferred leader first."""

    topic: str
    partition: int
    replicas: tuple[int, ...]


def plan(current: Sequence[Placement], brokers: Sequence[int], replication: int) -> list[Placement]:
    """Where partitions should be, naming only those that change.

    Every partition gets ``replication`` replicas; then each topic's replicas and
    leaders are evened out over the brokers, moving as few as that takes.

    Args:
        current: Every partition of the cluster.
        brokers: The brokers to use.
        replication: Replicas for each partition; more that exist already are kept.
    """
    changed = []
    topics: dict[str, list[Placement]] = {}
    for placement in current:
        topics.setdefault(placement.topic, []).append(placement)
    for number, topic in enumerate(sorted(topics)):
        # Start each topic at another broker, else the odd partition always meets the first one.
        turn = number % len(brokers)
        order = [*brokers[turn:], *brokers[:turn]]
        before = sorted(topics[topic], key=lambda placement: placement.partition)
        sets = [[broker for broker in p.replicas if broker in order] for p in before]
        _fill(sets, order, min(replication, len(order)))
        _even_out(sets, order)
        for old, new in zip(before, _lead(sets, order), strict=True):
            if old.replicas != new:
                changed.append(Placement(topic, old.partition, new))
    return changed


def _fill(sets: list[list[int]], brokers: Sequence[int], replication: int) -> None:
    load = _load(sets)
    for replicas in sets:
        while len(replicas) < replication:
            least = min((b for b in brokers if b not in replicas), key=lambda b: load[b])
            replicas.append(least)
            load[least] += 1


def _even_out(sets: list[list[int]], brokers: Sequence[int]) -> None:
    load = _load(sets)
    while True:
        least = min(brokers, key=lambda b: load[b])
        for most in sorted(brokers, key=lambda b: -load[b]):
            if load[most] - load[least] <= 1:
                return
            movable = [s for s in sets if most in s and least not in s]
            if movable:
                replicas = movable[-1]
                replicas[replicas.index(most)] = least
                load[most] -= 1
                load[least] += 1
                break
        else:
            return


def _lead(sets: list[list[int]], brokers: Sequence[int]) -> list[tuple[int, ...]]:
    """Order each partition's replicas so that leaders are even, kept where they may be."""
    leads: CounterOf[int] = Counter()
    fair = -(-len(sets) // len(brokers))
    ordered = []
    for replicas in sets:
        leader = replicas[0]
        if leads[leader] >= fair:
            leader = min(replicas, key=lambda b: leads[b])
        leads[leader] += 1
        ordered.append((leader, *(b for b in replicas if b != leader)))
    return ordered


def _load(sets: list[list[int]]) -> CounterOf[int]:
    return Counter(broker for replicas in sets for broker in replicas)
