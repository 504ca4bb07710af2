"""Snapshots of the workers, some of which fail."""

from __future__ import annotations

import json

import pytest

from consumer.dashboard import cards, scrape
from consumer.dashboard.cards import STUCK
from consumer.dashboard.fleet import Action, Fleet, FleetError, Instance, Scaling
from consumer.dashboard.telemetry import Telemetry

STATUS = {"workers": [], "class": "x"}
METRICS = """\
# TYPE kafka_worker_replies_total counter
kafka_worker_replies_total 10
# TYPE model_drift_index gauge
model_drift_index{statistic="mean"} 0.5
"""


class OneReplica:
    """A platform with one replica that has answered ten messages."""

    location = "here"

    def __init__(self) -> None:
        self.silent = self.replica_silent = self.gone = False
        self.metrics = METRICS

    def snapshot(self) -> Fleet:
        if self.silent:
            raise FleetError("no answer")
        return Fleet(() if self.gone else (Instance("a", "a-1", 0.0, ready=True),))

    def fetch(self, instance: Instance, path: str) -> bytes:
        if self.replica_silent:
            raise FleetError("it does not answer")
        return json.dumps(STATUS).encode() if path == "/status" else self.metrics.encode()

    def stop(self, name: str) -> Action:
        raise NotImplementedError

    kill = stop

    def kill_random(self) -> Action:
        raise NotImplementedError

    def scale(self, scaling: Scaling) -> Action:
        raise NotImplementedError

    def close(self) -> None:
        pass


def replies(telemetry: Telemetry) -> float:
    return scrape.total(telemetry.view.counted, "kafka_worker_replies_total")


def test_a_failed_snapshot_counts_nothing_twice() -> None:
    platform = OneReplica()
    telemetry = Telemetry(platform, lambda: 0)
    for platform.silent in (False, True, False):
        telemetry.take_snapshot()
        assert replies(telemetry) == 10


def test_an_ended_replica_keeps_its_counts_but_not_its_drift() -> None:
    platform = OneReplica()
    telemetry = Telemetry(platform, lambda: 0)
    for platform.gone in (False, True):
        telemetry.take_snapshot()
        assert replies(telemetry) == 10
    assert scrape.by_label(telemetry.view.counted, "model_drift_index", "statistic") == {}


def test_the_counts_of_a_restarted_container_are_added() -> None:
    platform = OneReplica()
    telemetry = Telemetry(platform, lambda: 0)
    telemetry.take_snapshot()
    platform.metrics = METRICS.replace("total 10", "total 3")
    for _ in range(2):
        telemetry.take_snapshot()
        assert replies(telemetry) == 13


def test_a_stuck_replica_is_never_shown_as_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cards, "_SILENT_S", 0.0)
    platform = OneReplica()
    telemetry = Telemetry(platform, lambda: 0)
    telemetry.take_snapshot()
    platform.replica_silent = True
    for _ in range(100):
        telemetry.take_snapshot()
    assert [each.state for each in telemetry.view.cards] == [STUCK]
