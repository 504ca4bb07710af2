"""Looks at all workers once a second: how each does, what all count, and how it went."""

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
from consumer.dashboard.cards import Card, Look, card_of, gone_card
from consumer.dashboard.fleet import Backend, Fleet, FleetError, Happening, Instance
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
        at_s: When, in seconds since 1970.
        lag: Messages that the group is behind; None if nobody says.
        workers: Those that are ready.
        rate: Messages answered a second.
    """

    at_s: float
    lag: int | None
    workers: int
    rate: float


@dataclass(frozen=True)
class View:
    """What the latest look found.

    Attributes:
        number: Counts looks.
        fleet: As the backend says.
        trouble: Why the backend says nothing, or nothing.
        cards: One for each instance.
        counted: What all workers have counted since they started.
        recent: What they counted lately.
        recent_s: Over how many seconds.
    """

    number: int = 0
    fleet: Fleet = field(default_factory=Fleet)
    trouble: str = ""
    cards: tuple[Card, ...] = ()
    counted: Samples = field(default_factory=dict)
    recent: Samples = field(default_factory=dict)
    recent_s: float = 0.0


class Telemetry:
    """A thread that looks.

    Attributes:
        view: What it found last.
        points: One for each second, the latest last.
    """

    def __init__(self, backend: Backend, lag: Callable[[], int | None]) -> None:
        """Prepare to look.

        Args:
            backend: Where the workers are.
            lag: Says how far the group is behind.
        """
        self.view = View()
        self.points: deque[Point] = deque(maxlen=_POINTS)
        self._backend = backend
        self._lag = lag
        self._looks: dict[str, deque[Look]] = {}
        self._totals: deque[tuple[float, Samples]] = deque()
        # What workers counted that are gone.
        self._past: Samples = {}
        self._last: dict[str, Samples] = {}
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="telemetry")
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    def start(self) -> None:
        """Start to look."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._closing.set()
        self._thread.join()
        self._pool.shutdown(cancel_futures=True)

    @property
    def happenings(self) -> tuple[Happening, ...]:
        """What became of workers lately."""
        return self.view.fleet.happenings

    def _run(self) -> None:
        due = time.monotonic()
        while not self._closing.wait(max(0.0, due - time.monotonic())):
            due = max(due + _EVERY_S, time.monotonic())
            try:
                self.look()
            except Exception:
                # Whatever it is, the next look may do better; without one all would stand still.
                log.exception("the workers can't be looked at")

    def look(self) -> None:
        """Look once."""
        try:
            fleet, trouble = self._backend.look(), ""
        except FleetError as error:
            fleet, trouble = Fleet(), str(error)
        at_s = time.time()
        running = [each for each in fleet.instances if each.ended_s is None]
        looks = list(self._pool.map(self._look_at, running))
        cards = [
            card_of(instance, self._remember(instance, look))
            for instance, look in zip(running, looks, strict=True)
        ]
        cards += [gone_card(each) for each in fleet.instances if each.ended_s is not None]
        if not trouble:  # those that nobody tells of are not gone
            self._forget({each.identity for each in running})
        counted = scrape.added([self._past, *self._last.values()])
        before_s, before = self._recent(at_s, counted)
        self.view = View(
            number=self.view.number + 1,
            fleet=fleet,
            trouble=trouble,
            cards=tuple(cards),
            counted=counted,
            recent=scrape.since(before, counted),
            recent_s=at_s - before_s,
        )
        ready = sum(card.instance.ready for card in cards)
        self.points.append(Point(at_s, self._lag(), ready, sum(card.rate for card in cards)))

    def _look_at(self, instance: Instance) -> Look:
        status: dict[str, Any] | None = None
        samples: Samples | None = None
        try:
            status = json.loads(self._backend.fetch(instance, "/status"))
            samples = scrape.parse(self._backend.fetch(instance, "/metrics").decode())
        except (FleetError, ValueError):
            # It starts, or is stuck: the card says so.
            pass
        return Look(time.monotonic(), status, samples)

    def _remember(self, instance: Instance, look: Look) -> tuple[Look, ...]:
        known = self._looks.setdefault(instance.identity, deque(maxlen=_RECENT_S))
        heard = next((each for each in reversed(known) if each.status is not None), None)
        known.append(look)
        # However long it is silent: that it was heard once tells it from one that starts.
        if heard is not None and heard not in known:
            known[0] = heard
        if look.samples is not None:
            before = self._last.get(instance.identity, {})
            if scrape.messages(look.samples) < scrape.messages(before):
                # Its container began anew, within the same pod.
                self._keep(before)
            self._last[instance.identity] = look.samples
        return tuple(known)

    def _forget(self, running: set[str]) -> None:
        for identity in set(self._looks) - running:
            self._looks.pop(identity)
            self._keep(self._last.pop(identity, {}))

    def _keep(self, samples: Samples) -> None:
        """Leaves in the sums what was counted by somebody who is gone."""
        self._past = scrape.added([self._past, scrape.counts(samples)])

    def _recent(self, at_s: float, counted: Samples) -> tuple[float, Samples]:
        self._totals.append((at_s, counted))
        while self._totals[0][0] < at_s - _RECENT_S:
            self._totals.popleft()
        return self._totals[0]
