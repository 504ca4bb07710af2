"""Keeps as many replicas as there should be, replaces what dies, and remembers what happened."""

from __future__ import annotations

import dataclasses
import os
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from kafka.replicas.lag import LagWatch
from kafka.replicas.registry import Registry
from kafka.replicas.replica import Replica
from kafka.replicas.scaling import AUTOMATIC, BY_HAND, OFF, Policy, Scaler
from kafka.replicas.staging import staged, staging_folder
from seldon_kafka.config.settings import Settings

_TURN_S = 0.1
_ASK_EVERY_S = 0.25
_READY_WITHIN_S = 60.0
_LEAVE_WITHIN_S = 10.0
_BACK_OFF_MOST_S = 30.0
_GONE_KEPT = 20
_EVENTS_KEPT = 200


class ReplicaError(Exception):
    """A replica can't do what it is to; the message says why."""


class Manager:
    """The replicas of one group on this machine.

    As a context manager it stops all of them on leaving.

    Args:
        settings: group, topics and brokers.
        environment: what the replicas get beside that of the image and of this process.
        policy: how many there are to be.
        registry: where they are noted, so that the next manager finds them after this one's
            sudden death.
        app: the folder with the class; one with this repository's unless given.

    Attributes:
        replicas: those that run.
    """

    def __init__(
        self,
        settings: Settings,
        environment: dict[str, str],
        policy: Policy,
        registry: Registry,
        app: Path | None = None,
    ) -> None:
        self._environment = {"PYTHON": sys.executable, **environment}
        self._folder = Path(settings.state_dir) / "logs"
        self._app = app or staging_folder(Path(settings.state_dir))
        self._is_staged = app is None
        self._registry = registry
        self._policy = policy
        self._wanted = policy.within(policy.count if policy.mode == BY_HAND else policy.minimum)
        self._scaler = Scaler()
        self._lag = LagWatch(settings, policy.polling_interval_s)
        self._looked = 0
        self.replicas: list[Replica] = []
        self._gone: deque[dict[str, Any]] = deque(maxlen=_GONE_KEPT)
        self._events: deque[dict[str, Any]] = deque(maxlen=_EVENTS_KEPT)
        self._event_number = 0
        self._unready_deaths = 0
        self._start_at = 0.0
        self._trouble = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="replicas", daemon=True)
        # Of everything above: commands come from other threads.
        self._lock = threading.RLock()

    def __enter__(self) -> Manager:
        """Takes over what a dead manager left, and starts what is missing.

        From then on it works in a thread of its own, where no Ctrl-C can come between a process
        that was started and our knowledge of it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._is_staged:
            staged(self._app)
        try:
            for replica in self._registry.left_alive():
                self._take(replica, "taken over")
            self._lag.start()
            self._thread.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Lets all replicas finish and leave, and kills those that do not."""
        self._stopping.set()
        self._lag.close()
        if self._thread.is_alive():
            self._thread.join()
        give_up_at = time.monotonic() + _LEAVE_WITHIN_S
        for replica in self.replicas:
            replica.stop()
        while self.replicas:
            self._bury()
            if time.monotonic() > give_up_at:
                for replica in self.replicas:
                    replica.kill()
            time.sleep(_TURN_S)
        self._registry.forget()

    def run(self) -> None:
        """Returns when `leave` was called."""
        while not self._stopping.wait(1.0):
            pass

    def leave(self) -> None:
        """Lets `run` end; may be called from anywhere."""
        self._stopping.set()

    @property
    def leaves(self) -> bool:
        """Whether it was told to leave."""
        return self._stopping.is_set()

    def await_ready(self, told: Callable[[Replica], None] = lambda replica: None) -> None:
        """Waits until as many replicas as there should be are ready.

        Args:
            told: called with each that became ready.

        Returns when `leave` was called, too, or another policy was set.

        Raises:
            ReplicaError: one ended, or is not ready after a minute.
        """
        seen: list[Replica] = []
        policy = self._policy
        give_up_at = time.monotonic() + _READY_WITHIN_S
        while not self.leaves:
            with self._lock:
                fresh = [each for each in self.replicas if each.ready and each not in seen]
                why = self._why_not_started(time.monotonic() > give_up_at)
            for replica in fresh:
                seen.append(replica)
                told(replica)
            if len(seen) >= self._wanted or self._policy is not policy:
                return
            if why:
                raise ReplicaError(why)
            time.sleep(_TURN_S)

    def _why_not_started(self, late: bool) -> str:
        if self._unready_deaths:
            dead = self._gone[-1]
            return f"replica {dead['name']} ended: {dead['why']} (all of it: {dead['log']})"
        waiting = [each for each in self.replicas if not each.ready]
        if late and waiting:
            return f"replica {waiting[0].name} is not ready; its log: {waiting[0].birth.log}"
        return self._trouble

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self.turn()
                self._trouble = ""
            except (OSError, psutil.Error) as error:
                # No more processes, or no disk: the next turn may do better.
                self._trouble = f"no replica can be started: {error}"
            self._stopping.wait(_TURN_S)

    def turn(self) -> None:
        """Looks after everything once."""
        with self._lock:
            self._bury()
            if self._policy.mode == OFF:
                return
            self._decide()
            active = [replica for replica in self.replicas if not replica.told_to_stop]
            missing = self._wanted - len(active)
            if missing > 0 and time.monotonic() >= self._start_at:
                for _ in range(missing):
                    self._start()
            for replica in _least_useful(active, -missing):
                replica.stop()
                self._tell(replica.name, "leaving", "scaled in")

    def set_policy(self, policy: Policy) -> None:
        """Goes by this policy from now on."""
        with self._lock:
            if policy.mode == AUTOMATIC != self._policy.mode:
                self._scaler = Scaler()
            self._policy = policy
            self._lag.interval_s = policy.polling_interval_s
            self._start_at, self._unready_deaths = 0.0, 0
            wanted = policy.count if policy.mode == BY_HAND else self._wanted
            self._wanted = policy.within(wanted)

    def stop(self, name: str) -> None:
        """Lets a replica finish and leave.

        Raises:
            ReplicaError: there is none of this name.
        """
        with self._lock:
            self._find(name).stop()
            self._tell(name, "leaving", "on purpose")

    def kill(self, name: str | None) -> str:
        """Ends a replica at once; without a name one by chance; returns its name.

        Raises:
            ReplicaError: there is none of this name, or none at all.
        """
        with self._lock:
            if name is None:
                if not self.replicas:
                    raise ReplicaError("there is no replica")
                name = random.choice(self.replicas).name  # noqa: S311 - no secret depends on it
            self._find(name).kill()
            return name

    def status(self) -> dict[str, Any]:
        """Everything, as plain values."""
        with self._lock:
            lag = self._lag.latest()
            return {
                "pid": os.getpid(),
                "policy": dataclasses.asdict(self._policy),
                "wanted": self._wanted,
                "lag": lag and lag.total,
                "lag_trouble": self._lag.trouble,
                "replicas": [replica.as_dict() for replica in self.replicas],
                "gone": list(self._gone),
                "events": list(self._events),
            }

    def _decide(self) -> None:
        if self._policy.mode != AUTOMATIC:
            return
        lag = self._lag.latest()
        # Without brokers nothing is known, and nothing changed.
        if lag is None or lag.number == self._looked:
            return
        self._looked = lag.number
        active = sum(not replica.told_to_stop for replica in self.replicas)
        self._wanted = self._scaler.decide(self._policy, lag.by_partition, active, lag.seen_s)

    def _start(self) -> None:
        taken = {replica.name for replica in self.replicas}
        numbers = range(1, len(taken) + 2)
        name = next(f"replica-{n}" for n in numbers if f"replica-{n}" not in taken)
        self._take(Replica.start(name, self._environment, self._folder, self._app), "started")

    def _take(self, replica: Replica, what: str) -> None:
        self.replicas.append(replica)
        self._tell(replica.name, what, "")
        threading.Thread(target=self._keep_asking, args=(replica,), daemon=True).start()
        self._note()

    def _keep_asking(self, replica: Replica) -> None:
        """Each has a thread for this: one that is stuck lets its caller wait."""
        while replica in self.replicas:
            before = replica.was_ready
            replica.ask()
            if replica.was_ready and not before:
                with self._lock:
                    self._unready_deaths = 0
                    self._tell(replica.name, "ready", "")
            time.sleep(_ASK_EVERY_S)

    def _bury(self) -> None:
        for replica in list(self.replicas):
            why = replica.why_ended()
            if why is None:
                continue
            self.replicas.remove(replica)
            ended_s = time.time()
            self._gone.append({**replica.birth._asdict(), "ended_s": ended_s, "why": why})
            self._tell(replica.name, "gone", why)
            if not (replica.was_ready or replica.told_to_stop or replica.killed):
                self._unready_deaths += 1
                wait_s = min(_BACK_OFF_MOST_S, 2.0**self._unready_deaths)
                self._start_at = time.monotonic() + wait_s
            self._note()

    def _find(self, name: str) -> Replica:
        for replica in self.replicas:
            if replica.name == name:
                return replica
        known = ", ".join(replica.name for replica in self.replicas) or "none"
        raise ReplicaError(f"there is no replica {name}; there is {known}")

    def _tell(self, name: str, what: str, why: str) -> None:
        self._event_number += 1
        self._events.append(
            {
                "number": self._event_number,
                "at_s": time.time(),
                "name": name,
                "what": what,
                "why": why,
            }
        )

    def _note(self) -> None:
        self._registry.note([replica.birth for replica in self.replicas])


def _least_useful(replicas: list[Replica], count: int) -> list[Replica]:
    """Those to let go first, as a ReplicaSet does: what is not ready, then the youngest."""
    order = sorted(replicas, key=lambda each: (each.ready, -each.birth.started_s))
    return order[: max(0, count)]
