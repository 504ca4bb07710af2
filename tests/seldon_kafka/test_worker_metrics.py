"""Latencies of a whole batch are counted at once, with the same numbers as one by one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry, Histogram

from seldon_kafka.messages import Record, Rejection, Reply
from seldon_kafka.worker import metrics

DROPPED = "kafka_worker_model_metrics_dropped_total"
BOUNDS = (0.01, 0.1, 1.0, 10.0)


def histogram() -> Histogram:
    return Histogram("seconds", "of nothing", registry=CollectorRegistry(), buckets=BOUNDS)


def counted(one: Histogram) -> dict[str, float]:
    (family,) = one.collect()
    return {
        sample.labels.get("le", sample.name): sample.value
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(st.lists(st.integers(0, 100_000), min_size=1))
def test_many_at_once_are_counted_as_one_by_one(ago_ms: list[int]) -> None:
    now_s = 1_700_000_000.0
    at_once, one_by_one = histogram(), histogram()
    metrics._observe_all(at_once, [int(now_s * 1000) - each for each in ago_ms], now_s)
    for each in ago_ms:
        one_by_one.observe(now_s - (int(now_s * 1000) - each) / 1000)
    assert counted(at_once) == pytest.approx(counted(one_by_one))


def test_latency_is_from_the_timestamp_to_the_commit_of_answers_and_dead_letters() -> None:
    def record(ago_s: float) -> Record:
        return Record("in", 0, 0, int(1000 * (time.time() - ago_s)), None, b"", ())

    undated = Record("in", 0, 0, -1, None, b"", ())
    metrics.count_committed(
        "tested",
        [
            Reply(record(0.2), b"", ()),
            Rejection(record(20), "bad_shape", "no"),
            Reply(record(-5), b"", ()),
            Reply(undated, b"", ()),
        ],
    )

    def below(bound: str) -> object:
        labels = {"worker": "tested", "le": bound}
        return REGISTRY.get_sample_value("kafka_worker_latency_seconds_bucket", labels)

    assert [below("0.0005"), below("0.1"), below("0.5"), below("30.0"), below("+Inf")] == [
        1, 1, 2, 3, 3,
    ]  # fmt: skip


@pytest.mark.parametrize("value", [10**400, float("nan"), -float("inf"), "many"])
def test_a_metric_of_the_class_without_a_finite_value_is_dropped(value: object) -> None:
    metric = {"type": "GAUGE", "key": "seen", "value": value, "tags": {}}
    dropped = REGISTRY.get_sample_value(DROPPED, {"worker": "odd"}) or 0
    record = Record("in", 0, 0, -1, None, b"", ())
    metrics.count_committed("odd", [Reply(record, b"", (), metrics=[metric])])
    assert REGISTRY.get_sample_value(DROPPED, {"worker": "odd"}) == dropped + 1
