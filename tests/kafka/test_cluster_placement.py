"""The plan that spreads partitions over brokers."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kafka.cluster.placement import Placement, plan


def apply(current: list[Placement], moves: list[Placement]) -> dict[tuple[str, int], Placement]:
    after = {(p.topic, p.partition): p for p in current}
    after.update({(p.topic, p.partition): p for p in moves})
    return after


def topic(name: str, *replicas: tuple[int, ...]) -> list[Placement]:
    return [Placement(name, number, kept) for number, kept in enumerate(replicas)]


def test_growing_from_one_broker_to_three_gives_every_partition_three_replicas() -> None:
    current = topic("in", *[(1,)] * 12) + topic("__consumer_offsets", *[(1,)] * 12)
    after = apply(current, plan(current, [1, 2, 3], 3))
    assert all(sorted(p.replicas) == [1, 2, 3] for p in after.values())
    for name in ("in", "__consumer_offsets"):
        leaders = Counter(p.replicas[0] for p in after.values() if p.topic == name)
        assert set(leaders.values()) == {4}


def test_a_fourth_broker_gets_its_share_and_nothing_else_moves() -> None:
    current = topic("in", *[(1, 2, 3), (2, 3, 1), (3, 1, 2)] * 4)
    after = apply(current, plan(current, [1, 2, 3, 4], 3))
    kept = Counter(broker for p in after.values() for broker in p.replicas)
    assert set(kept.values()) == {9}
    moved = sum(len(set(after["in", n].replicas) - set(p.replicas)) for n, p in enumerate(current))
    assert moved == 9


def test_a_balanced_topic_does_not_move() -> None:
    current = topic("in", *[(1, 2, 3), (2, 3, 1), (3, 1, 2)] * 4)
    assert plan(current, [1, 2, 3], 3) == []


def test_topics_with_one_partition_are_spread_over_the_brokers() -> None:
    current = [Placement(f"t{n}", 0, (1,)) for n in range(6)]
    after = apply(current, plan(current, [1, 2, 3], 2))
    kept = Counter(broker for p in after.values() for broker in p.replicas)
    assert set(kept) == {1, 2, 3}


@given(st.data())
def test_every_plan_is_a_valid_assignment(data: st.DataObject) -> None:
    before = data.draw(st.integers(1, 5))
    brokers = list(range(1, data.draw(st.integers(before, 6)) + 1))
    replicas = st.lists(st.integers(1, before), min_size=1, max_size=before, unique=True)
    current = [
        Placement(name, number, tuple(data.draw(replicas)))
        for name in ("a", "b")
        for number in range(data.draw(st.integers(1, 7)))
    ]
    replication = min(3, len(brokers))
    moves = plan(current, brokers, replication)
    for p in apply(current, moves).values():
        assert len(set(p.replicas)) == len(p.replicas) >= replication
        assert set(p.replicas) <= set(brokers)
    after = list(apply(current, moves).values())
    assert plan(after, brokers, replication) == []
