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
    """One second of the charts.

    Attributes:
        at_s: its time, in seconds since 1970.
        lag: the group's lag, in messages; None if unknown.
        workers: number of ready workers.
        rate: messages answered per second.
    """

    at_s: float
    lag: int | None
    workers: int
    rate: float


@dataclass(frozen=True)
class View:
    """A snapshot of all workers, for the page.

    Attributes:
        number: number of the snapshot.
        fleet: the snapshot of the backend.
        error: the backend's error, or an empty text.
        cards: a card for each instance.
        counted: the sums of all workers' metrics since their start.
        recent: the part of the sums from the last `recent_s` seconds.
        recent_s: length of that time, in seconds.
    """

    number: int = 0
    fleet: Fleet = field(default_factory=Fleet)
    error: str = ""
    cards: tuple[Card, ...] = ()
    counted: Samples = field(default_factory=dict)
    recent: Samples = field(default_factory=dict)
    recent_s: float = 0.0


class Telemetry:
    """A thread that reads status and metrics of all workers.

    Args:
        backend: the platform of the workers.
        lag: returns the group's lag, in messages; None if unknown.

    Attributes:
        view: the latest snapshot.
        points: one point for each second, in order.
    """

    def __init__(self, backend: Backend, lag: Callable[[], int | None]) -> None:
        self.view = View()
        self.points: deque[Point] = deque(maxlen=_POINTS)
        self._backend = backend
        self._lag = lag
        self._snapshots: dict[str, deque[Snapshot]] = {}
        self._totals: deque[tuple[float, Samples]] = deque()
        # The sums of workers that have ended.
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
                # The next snapshot may succeed; without this, the page would no longer change.
                log.exception("the state of the workers can't be read")

    def take_snapshot(self) -> None:
        """Takes a snapshot of all workers."""
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
        if not error:  # after an error, the instances are unknown, and not ended
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
            # The instance is starting or stuck; the card shows it.
            pass
        return Snapshot(time.monotonic(), status, samples)

    def _remember(self, instance: Instance, snapshot: Snapshot) -> tuple[Snapshot, ...]:
        known = self._snapshots.setdefault(instance.identity, deque(maxlen=_RECENT_S))
        with_status = next((each for each in reversed(known) if each.status is not None), None)
        known.append(snapshot)
        # An instance that once had a status is never shown as starting again, even after long
        # silence.
        if with_status is not None and with_status not in known:
            known[0] = with_status
        if snapshot.samples is not None:
            before = self._last.get(instance.identity, {})
            if scrape.messages(snapshot.samples) < scrape.messages(before):
                # Its container was restarted within the same pod.
                self._keep(before)
            self._last[instance.identity] = snapshot.samples
        return tuple(known)

    def _remove_ended(self, running: set[str]) -> None:
        for identity in set(self._snapshots) - running:
            self._snapshots.pop(identity)
            self._keep(self._last.pop(identity, {}))

    def _keep(self, samples: Samples) -> None:
        """Keeps the counts of a worker that has ended in the sums."""
        self._past = scrape.added([self._past, scrape.counts(samples)])

    def _recent(self, at_s: float, counted: Samples) -> tuple[float, Samples]:
        self._totals.append((at_s, counted))
        while self._totals[0][0] < at_s - _RECENT_S:
            self._totals.popleft()
        return self._totals[0]
