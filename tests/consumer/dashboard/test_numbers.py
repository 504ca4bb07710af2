"""The numbers on cards and charts are computed from workers' metrics."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from consumer.dashboard import scrape
from consumer.dashboard.cards import (
    GONE,
    LEAVING,
    READY,
    STARTING,
    STUCK,
    WORKING,
    Snapshot,
    card_of,
    gone_card,
)
from consumer.dashboard.fleet import Instance

ALIVE = Instance("replica-1", "replica-1/1", 0.0, ready=True)


def status(**worker: object) -> dict[str, object]:
    whole = {"state": "ready", "detail": "", "partitions": [0, 1], "restarts": 0, **worker}
    return {"class": "some.Class", "workers": [{"memory_bytes": 2**20, **whole}]}


def samples(replies: float) -> scrape.Samples:
    return {
        ("kafka_worker_replies_total", ()): replies,
        ("kafka_worker_batch_messages_sum", ()): replies,
        ("kafka_worker_batch_messages_count", ()): replies / 10,
    }


def test_metrics_of_all_workers_are_added_up() -> None:
    registry = CollectorRegistry()
    replies = Counter("kafka_worker_replies", "", ["worker"], registry=registry)
    latency = Histogram("seconds", "", ["worker"], buckets=(1, 2, 4), registry=registry)
    for worker in ("a", "b"):
        replies.labels(worker).inc(3)
        for value in (0.5, 1.5, 1.5, 3, 99):
            latency.labels(worker).observe(value)
    found = scrape.parse(generate_latest(registry).decode())
    assert scrape.total(found, "kafka_worker_replies_total") == 6
    buckets = scrape.histogram(found, "seconds")
    assert list(buckets.counts) == [2, 4, 2, 2]
    assert buckets.quantile(0.4) == pytest.approx(1.5)
    assert buckets.quantile(0.2) == pytest.approx(1.0)
    assert buckets.quantile(0.99) == 4


def test_without_observations_there_is_no_quantile() -> None:
    assert scrape.histogram({}, "seconds").quantile(0.5) is None


def test_a_reset_counter_counts_from_zero() -> None:
    before, now = samples(100), samples(30)
    assert scrape.total(scrape.since(before, now), "kafka_worker_replies_total") == 30
    assert scrape.total(scrape.since(before, samples(130)), "kafka_worker_replies_total") == 30


def test_a_card_has_the_numbers_of_its_worker() -> None:
    snapshots = [Snapshot(0.0, status(), samples(0)), Snapshot(2.0, status(), samples(500))]
    card = card_of(ALIVE, snapshots)
    assert (card.state, card.rate, card.messages, card.batch) == (WORKING, 250, 500, 10)
    assert (card.partitions, card.memory_bytes) == ((0, 1), 2**20)
    assert card_of(ALIVE, snapshots[:1]).state == READY


@pytest.mark.parametrize(
    ("instance", "snapshots", "state"),
    [
        (Instance("a", "a", 0.0), [Snapshot(0.0, None, None)], STARTING),
        (Instance("a", "a", 0.0), [Snapshot(0.0, status(state="joining"), samples(0))], STARTING),
        (ALIVE, [Snapshot(0.0, status(), samples(0)), Snapshot(9.0, None, None)], STUCK),
        (ALIVE, [Snapshot(0.0, status(), samples(0)), Snapshot(1.0, None, None)], READY),
        (ALIVE, [Snapshot(0.0, status(state="stalled", detail="no broker"), samples(0))], STUCK),
        (ALIVE, [Snapshot(0.0, {**status(), "halted": "a bad deployment"}, samples(0))], STUCK),
        (Instance("a", "a", 0.0, leaving=True), [Snapshot(0.0, status(), samples(0))], LEAVING),
    ],
)
def test_the_state_follows_from_the_snapshots(
    instance: Instance, snapshots: list[Snapshot], state: str
) -> None:
    assert card_of(instance, snapshots).state == state


def test_the_card_of_an_ended_worker_has_the_reason() -> None:
    card = gone_card(Instance("a", "a", 0.0, ended_s=5.0, why="killed by SIGKILL"))
    assert (card.state, card.why) == (GONE, "killed by SIGKILL")
