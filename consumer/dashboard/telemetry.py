"""Reads status and metrics of all workers once a second."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from consumer.dashboard import scrape
from consumer.dashboard.cards import Card, Snapshot, card_of, gone_card
from consumer.dashboard.fleet import Backend, Fleet, FleetError, Instance
from consumer.dashboard.scrape import Samples

log = logging.getLogger("consumer.dashboard")

_EVERY_S = 1.0
_POINTS = 1800
_RECENT_S = 30
_THREADS = 8


@dataclass(frozen=True)
class Point:
    """A point of the charts.

    Attributes:
        at_s: time of the point, in seconds since 1970.
        lag: lag of the group, in messages; None if unknown.
        workers: number of ready instances.
        rate: number of answered messages per second.
    """

    at_s: float
    lag: int | None
    workers: int
    rate: float


@dataclass(frozen=True)
class View:
    """A snapshot of all workers, for the page.

    Attributes:
        number: number of the snapshot, from 1; 0 before the first snapshot.
        fleet: the snapshot of the backend.
        error: error of the backend; empty if there was none.
        cards: a card for each instance.
        counted: sums of the metrics of all workers, each since its own start. Workers that ended
            before the dashboard started are not included.
        recent: increase of the sums in the last `recent_s` seconds.
        recent_s: length of the time that `recent` covers, in seconds.
    """

    number: int = 0
    fleet: Fleet = field(default_factory=Fleet)
    error: str = ""
    cards: tuple[Card, ...] = ()
    counted: Samples = field(default_factory=dict)
    recent: Samples = field(default_factory=dict)
    recent_s: float = 0.0


class Telemetry:
    """A thread that reads status and metrics of all workers once a second.

    Args:
        backend: the platform of the workers.
        lag: function that returns the lag of the group, in messages; None if unknown.

    Attributes:
        view: the latest snapshot.
        points: the latest points, one for each snapshot, in order.
    """

    def __init__(self, backend: Backend, lag: Callable[[], int | None]) -> None:
        self.view = View()
        self.points: deque[Point] = deque(maxlen=_POINTS)
        self._backend = backend
        self._lag = lag
        self._snapshots: dict[str, deque[Snapshot]] = {}
        self._totals: deque[tuple[float, Samples]] = deque()
        # Sums of the counters of workers that have ended.
        self._past: Samples = {}
        self._last: dict[str, Samples] = {}
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="telemetry")
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stops the thread."""
        self._closing.set()
        self._thread.join()
        self._pool.shutdown(cancel_futures=True)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._closing.wait(max(0.0, due - time.monotonic())):
            due = max(due + _EVERY_S, time.monotonic())
            try:
                self.take_snapshot()
            except Exception:
                # The thread must not end, because the next snapshot may succeed.
                log.exception("the state of the workers can't be read")

    def take_snapshot(self) -> None:
        """Reads all workers, and sets `view`; an error of the backend is in `view.error`."""
        try:
            fleet, error = self._backend.snapshot(), ""
        except FleetError as failure:
            fleet, error = Fleet(), str(failure)
        at_s = time.time()
        running = [each for each in fleet.instances if each.ended_s is None]
        snapshots = list(self._pool.map(self._read, running))
        cards = [
            card_of(instance, self._remember(instance, snapshot))
            for instance, snapshot in zip(running, snapshots, strict=True)
        ]
        cards += [gone_card(each) for each in fleet.instances if each.ended_s is not None]
        if not error:  # after an error, instances are missing that still run
            self._remove_ended({each.identity for each in running})
        counted = scrape.added([self._past, *self._last.values()])
        before_s, before = self._recent(at_s, counted)
        self.view = View(
            number=self.view.number + 1,
            fleet=fleet,
            error=error,
            cards=tuple(cards),
            counted=counted,
            recent=scrape.since(before, counted),
            recent_s=at_s - before_s,
        )
        ready = sum(card.instance.ready for card in cards)
        self.points.append(Point(at_s, self._lag(), ready, sum(card.rate for card in cards)))

    def _read(self, instance: Instance) -> Snapshot:
        status: dict[str, Any] | None = None
        samples: Samples | None = None
        try:
            status = json.loads(self._backend.fetch(instance, "/status"))
            samples = scrape.parse(self._backend.fetch(instance, "/metrics").decode())
        except (FleetError, ValueError):
            # The instance may be starting, stuck or ended. The card shows this.
            pass
        return Snapshot(time.monotonic(), status, samples)

    def _remember(self, instance: Instance, snapshot: Snapshot) -> tuple[Snapshot, ...]:
        known = self._snapshots.setdefault(instance.identity, deque(maxlen=_RECENT_S))
        with_status = next((each for each in reversed(known) if each.status is not None), None)
        known.append(snapshot)
        # One snapshot with a status is always kept. Without it, an instance that has not answered
        # for long would be shown as starting.
        if with_status is not None and with_status not in known:
            known[0] = with_status
        if snapshot.samples is not None:
            before = self._last.get(instance.identity, {})
            if scrape.messages(snapshot.samples) < scrape.messages(before):
                # The container was restarted within the same pod, and counts from 0.
                self._add_to_past(before)
            self._last[instance.identity] = snapshot.samples
        return tuple(known)

    def _remove_ended(self, running: set[str]) -> None:
        for identity in set(self._snapshots) - running:
            self._snapshots.pop(identity)
            self._add_to_past(self._last.pop(identity, {}))

    def _add_to_past(self, samples: Samples) -> None:
        """Adds the counters of a worker that has ended to the sums of ended workers."""
        self._past = scrape.added([self._past, scrape.counts(samples)])

    def _recent(self, at_s: float, counted: Samples) -> tuple[float, Samples]:
        self._totals.append((at_s, counted))
        while self._totals[0][0] < at_s - _RECENT_S:
            self._totals.popleft()
        return self._totals[0]
