"""Keeps the wanted number of replicas, replaces dead ones, and records events."""

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
from kafka.replicas.staging import stage, staging_folder
from seldon_kafka.config.settings import Settings

_STEP_INTERVAL_S = 0.1
_PROBE_INTERVAL_S = 0.25
_READY_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 10.0
_MAX_BACK_OFF_S = 30.0
_ENDED_KEPT = 20
_EVENTS_KEPT = 200


class ReplicaError(Exception):
    """A command for replicas failed; the text has the reason."""


class Manager:
    """Starts, replaces and stops the replicas of one group on this machine.

    Leaving the context stops all replicas.

    Args:
        settings: group, topics and brokers.
        environment: variables of the replicas. They override the variables of the image and of this
            process.
        policy: the number of replicas, or the rules that determine it.
        registry: stores the replicas, so that another manager finds them if this manager dies.
        app: folder of the user model; by default a folder with the user model of this repository.

    Attributes:
        replicas: the running replicas.
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
        self._decided_on = 0
        self.replicas: list[Replica] = []
        self._ended: deque[dict[str, Any]] = deque(maxlen=_ENDED_KEPT)
        self._events: deque[dict[str, Any]] = deque(maxlen=_EVENTS_KEPT)
        self._event_number = 0
        self._unready_deaths = 0
        self._start_at = 0.0
        self._start_error = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run_steps, name="replicas", daemon=True)
        # The lock guards all attributes above, because other threads call methods.
        self._lock = threading.RLock()

    def __enter__(self) -> Manager:
        """Takes over the replicas of a dead manager, and starts missing replicas.

        A thread starts the processes, because Ctrl-C interrupts only the main thread. So Ctrl-C
        cannot come between the start of a process and its entry in the registry.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._is_staged:
            stage(self._app)
        try:
            for replica in self._registry.live_replicas():
                self._add(replica, "taken over")
            self._lag.start()
            self._thread.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stops all replicas, and kills the replicas that still run after ten seconds."""
        self._stopping.set()
        self._lag.close()
        if self._thread.is_alive():
            self._thread.join()
        give_up_at = time.monotonic() + _STOP_TIMEOUT_S
        for replica in self.replicas:
            replica.stop()
        while self.replicas:
            self._remove_ended()
            if time.monotonic() > give_up_at:
                for replica in self.replicas:
                    replica.kill()
            time.sleep(_STEP_INTERVAL_S)
        self._registry.delete()

    def run(self) -> None:
        """Waits until `leave` is called."""
        while not self._stopping.wait(1.0):
            pass

    def leave(self) -> None:
        """Makes `run` return; any thread and any signal handler may call it."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """Whether `leave` was called, or the context was left."""
        return self._stopping.is_set()

    def await_ready(self, on_ready: Callable[[Replica], None] = lambda replica: None) -> None:
        """Waits until the wanted number of replicas is ready.

        The wait also ends when `leave` is called or another policy is set.

        Args:
            on_ready: called with each replica that becomes ready.

        Raises:
            ReplicaError: a replica ended before it was ready, is not ready after a minute, or could
                not be started.
        """
        seen: list[Replica] = []
        policy = self._policy
        give_up_at = time.monotonic() + _READY_TIMEOUT_S
        while not self.is_stopping:
            with self._lock:
                fresh = [each for each in self.replicas if each.ready and each not in seen]
                error = self._startup_error(time.monotonic() > give_up_at)
            for replica in fresh:
                seen.append(replica)
                on_ready(replica)
            if len(seen) >= self._wanted or self._policy is not policy:
                return
            if error:
                raise ReplicaError(error)
            time.sleep(_STEP_INTERVAL_S)

    def _startup_error(self, late: bool) -> str:
        if self._unready_deaths:
            dead = self._ended[-1]
            return f"replica {dead['name']} ended: {dead['why']} (its log: {dead['log']})"
        waiting = [each for each in self.replicas if not each.ready]
        if late and waiting:
            return f"replica {waiting[0].name} is not ready; its log: {waiting[0].entry.log}"
        return self._start_error

    def _run_steps(self) -> None:
        while not self._stopping.is_set():
            try:
                self.step()
                self._start_error = ""
            except (OSError, psutil.Error) as error:
                # For example, the disk is full, or the limit of processes is reached. The next step
                # may succeed.
                self._start_error = f"no replica can be started: {error}"
            self._stopping.wait(_STEP_INTERVAL_S)

    def step(self) -> None:
        """Removes ended replicas, and starts or stops replicas according to the policy."""
        with self._lock:
            self._remove_ended()
            if self._policy.mode == OFF:
                return
            self._decide()
            active = [replica for replica in self.replicas if not replica.stopping]
            missing = self._wanted - len(active)
            if missing > 0 and time.monotonic() >= self._start_at:
                for _ in range(missing):
                    self._start()
            for replica in _first_to_stop(active, -missing):
                replica.stop()
                self._add_event(replica.name, "leaving", "scaled in")

    def set_policy(self, policy: Policy) -> None:
        """Applies another policy."""
        with self._lock:
            if policy.mode == AUTOMATIC != self._policy.mode:
                self._scaler = Scaler()
            self._policy = policy
            self._lag.interval_s = policy.polling_interval_s
            self._start_at, self._unready_deaths = 0.0, 0
            wanted = policy.count if policy.mode == BY_HAND else self._wanted
            self._wanted = policy.within(wanted)

    def stop(self, name: str) -> None:
        """Stops a replica after its current batch.

        Raises:
            ReplicaError: no replica has this name.
        """
        with self._lock:
            self._find(name).stop()
            self._add_event(name, "leaving", "on purpose")

    def kill(self, name: str | None) -> str:
        """Kills a replica, and returns its name.

        Args:
            name: name of the replica; None for a random replica.

        Raises:
            ReplicaError: no replica has this name, or no replica runs.
        """
        with self._lock:
            if name is None:
                if not self.replicas:
                    raise ReplicaError("no replica runs")
                name = random.choice(self.replicas).name  # noqa: S311 - no secret depends on it
            self._find(name).kill()
            return name

    def status(self) -> dict[str, Any]:
        """Returns policy, lag, replicas and events, as values for JSON."""
        with self._lock:
            lag = self._lag.latest()
            return {
                "pid": os.getpid(),
                "policy": dataclasses.asdict(self._policy),
                "wanted": self._wanted,
                "lag": lag and lag.total,
                "lag_trouble": self._lag.error,
                "replicas": [replica.as_dict() for replica in self.replicas],
                "gone": list(self._ended),
                "events": list(self._events),
            }

    def _decide(self) -> None:
        if self._policy.mode != AUTOMATIC:
            return
        lag = self._lag.latest()
        # While the lag is unknown, the number of replicas does not change.
        if lag is None or lag.number == self._decided_on:
            return
        self._decided_on = lag.number
        active = sum(not replica.stopping for replica in self.replicas)
        self._wanted = self._scaler.decide(self._policy, lag.by_partition, active, lag.at_s)

    def _start(self) -> None:
        taken = {replica.name for replica in self.replicas}
        numbers = range(1, len(taken) + 2)
        name = next(f"replica-{n}" for n in numbers if f"replica-{n}" not in taken)
        self._add(Replica.start(name, self._environment, self._folder, self._app), "started")

    def _add(self, replica: Replica, event: str) -> None:
        self.replicas.append(replica)
        self._add_event(replica.name, event, "")
        threading.Thread(target=self._keep_probing, args=(replica,), daemon=True).start()
        self._save()

    def _keep_probing(self, replica: Replica) -> None:
        """Probes a replica until its end.

        Each replica has its own thread for this, because the probe of a stuck replica takes long.
        """
        while replica in self.replicas:
            before = replica.was_ready
            replica.probe()
            if replica.was_ready and not before:
                with self._lock:
                    self._unready_deaths = 0
                    self._add_event(replica.name, "ready", "")
            time.sleep(_PROBE_INTERVAL_S)

    def _remove_ended(self) -> None:
        for replica in list(self.replicas):
            reason = replica.end_reason()
            if reason is None:
                continue
            self.replicas.remove(replica)
            ended_s = time.time()
            self._ended.append({**replica.entry._asdict(), "ended_s": ended_s, "why": reason})
            self._add_event(replica.name, "gone", reason)
            if not (replica.was_ready or replica.stopping or replica.killed):
                self._unready_deaths += 1
                wait_s = min(_MAX_BACK_OFF_S, 2.0**self._unready_deaths)
                self._start_at = time.monotonic() + wait_s
            self._save()

    def _find(self, name: str) -> Replica:
        for replica in self.replicas:
            if replica.name == name:
                return replica
        known = ", ".join(replica.name for replica in self.replicas) or "none"
        raise ReplicaError(f"there is no replica {name}; running replicas: {known}")

    def _add_event(self, name: str, event: str, reason: str) -> None:
        self._event_number += 1
        self._events.append(
            {
                "number": self._event_number,
                "at_s": time.time(),
                "name": name,
                "what": event,
                "why": reason,
            }
        )

    def _save(self) -> None:
        self._registry.save([replica.entry for replica in self.replicas])


def _first_to_stop(replicas: list[Replica], count: int) -> list[Replica]:
    """Returns the replicas to stop, in the order of a ReplicaSet.

    Replicas that are not ready come first, then the replicas that were started last.
    """
    order = sorted(replicas, key=lambda each: (each.ready, -each.entry.started_s))
    return order[: max(0, count)]
