"""Plans which brokers have replicas of which partitions, without any request to brokers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Placement:
    """A partition and its replicas.

    Attributes:
        topic: name of the topic.
        partition: number of the partition.
        replicas: ids of the brokers with a replica, the preferred leader first.
    """

    topic: str
    partition: int
    replicas: tuple[int, ...]


def plan(current: Sequence[Placement], brokers: Sequence[int], replication: int) -> list[Placement]:
    """Returns the new placements of the partitions that change.

    First, replicas are added to each partition with fewer than `replication` replicas. Then the
    replicas and leaders of each topic are balanced over the brokers, with few moves.

    Args:
        current: placements of all partitions of the cluster.
        brokers: ids of the brokers to use. Replicas on other brokers are removed.
        replication: minimum number of replicas of a partition; more existing replicas are kept.
    """
    changed = []
    topics: dict[str, list[Placement]] = {}
    for placement in current:
        topics.setdefault(placement.topic, []).append(placement)
    for number, topic in enumerate(sorted(topics)):
        # Each topic begins with another broker. Otherwise the first broker would get one partition
        # more of every topic whose partitions cannot be divided evenly.
        start = number % len(brokers)
        order = [*brokers[start:], *brokers[:start]]
        before = sorted(topics[topic], key=lambda placement: placement.partition)
        sets = [[broker for broker in p.replicas if broker in order] for p in before]
        _add_replicas(sets, order, min(replication, len(order)))
        _balance_replicas(sets, order)
        for old, new in zip(before, _balance_leaders(sets, order), strict=True):
            if old.replicas != new:
                changed.append(Placement(topic, old.partition, new))
    return changed


def _add_replicas(sets: list[list[int]], brokers: Sequence[int], replication: int) -> None:
    load = _load(sets)
    for replicas in sets:
        while len(replicas) < replication:
            least = min((b for b in brokers if b not in replicas), key=lambda b: load[b])
            replicas.append(least)
            load[least] += 1


def _balance_replicas(sets: list[list[int]], brokers: Sequence[int]) -> None:
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


def _balance_leaders(sets: list[list[int]], brokers: Sequence[int]) -> list[tuple[int, ...]]:
    """Orders the replicas of each partition so that leaders are balanced.

    A leader stays the same unless its broker leads too many partitions.
    """
    led: Counter[int] = Counter()
    fair_share = -(-len(sets) // len(brokers))
    ordered = []
    for replicas in sets:
        leader = replicas[0]
        if led[leader] >= fair_share:
            leader = min(replicas, key=lambda b: led[b])
        led[leader] += 1
        ordered.append((leader, *(b for b in replicas if b != leader)))
    return ordered


def _load(sets: list[list[int]]) -> Counter[int]:
    return Counter(broker for replicas in sets for broker in replicas)
