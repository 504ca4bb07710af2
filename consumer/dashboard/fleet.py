"""The interface of the backends, through which the page reads and controls workers.

Snapshots, fetches and the functions of actions wait for the network, so they run only in threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from kafka.replicas.scaling import AUTOMATIC, BY_HAND, OFF

__all__ = [
    "AUTOMATIC",
    "BY_HAND",
    "OFF",
    "Action",
    "Backend",
    "Fleet",
    "FleetError",
    "Instance",
    "Output",
    "Scaling",
    "WorkerEvent",
]  # fmt: skip

Output = Callable[[str], None]
"""A callback that gets output for the console, one or several lines at a time."""


class FleetError(Exception):
    """The workers can't be read or changed; the text has the reason and the remedy."""


@dataclass(frozen=True)
class Instance:
    """A replica or a pod: a supervisor with its worker processes.

    Attributes:
        name: name of the instance in commands.
        identity: a text that no other instance has, not even a later instance of the same name.
        started_s: time of the start, in seconds since 1970.
        ready: whether the instance is ready.
        leaving: whether the instance finishes its work and then ends.
        ended_s: time of the end, in seconds since 1970; None while the instance runs.
        why: reason why the instance ended, is leaving or is not ready; empty if unknown.
        memory_bytes: memory of the instance, in bytes; None if the platform does not measure it.
    """

    name: str
    identity: str
    started_s: float
    ready: bool = False
    leaving: bool = False
    ended_s: float | None = None
    why: str = ""
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Scaling:
    """The desired number of workers.

    Attributes:
        mode: `off`, `by-hand` or `automatic`.
        minimum: smallest number of workers in the mode `automatic`.
        maximum: largest number of workers in the mode `automatic`.
        count: number of workers in the mode `by-hand`.
        lag_per_worker: number of messages of lag for which one worker is started, in the mode
            `automatic`; 0 if the scaling does not depend on the lag.
    """

    mode: str
    minimum: int
    maximum: int
    count: int
    lag_per_worker: int


@dataclass(frozen=True)
class WorkerEvent:
    """A state change of a worker, shown as a mark in the charts.

    Attributes:
        number: number of the event.
        at_s: time of the event, in seconds since 1970.
        name: name of the instance.
        what: the new state: `started`, `ready`, `leaving` or `gone`; or `taken over`, if a new
            manager of local replicas has found the worker running.
        why: reason of the change; empty if unknown.
    """

    number: int
    at_s: float
    name: str
    what: str
    why: str = ""


@dataclass(frozen=True)
class Fleet:
    """A snapshot of all workers.

    Attributes:
        instances: the running instances, then the instances that ended recently.
        scaling: the current scaling; None if unknown.
        wanted: the current desired number of workers; None if unknown.
        modes: modes of scaling that the platform supports.
        events: the latest events, in order.
    """

    instances: tuple[Instance, ...] = ()
    scaling: Scaling | None = None
    wanted: int | None = None
    modes: tuple[str, ...] = ()
    events: tuple[WorkerEvent, ...] = field(default=())


@dataclass(frozen=True)
class Action:
    """A function, with the shell command that does the same.

    Attributes:
        command: the shell command, which a user can copy.
        run: the function, which gets an output callback and returns an exit status.
    """

    command: str
    run: Callable[[Output], int]


class Backend(Protocol):
    """The platform on which workers run."""

    @property
    def location(self) -> str:
        """Where the workers run, for example `this machine` or `seldon/kmnist on https://…`."""

    def snapshot(self) -> Fleet:
        """Returns a snapshot of all workers.

        Raises:
            FleetError: the platform does not answer.
        """

    def fetch(self, instance: Instance, path: str) -> bytes:
        """Requests a path (`/status`, `/metrics`) of a running instance's supervisor.

        Raises:
            FleetError: there is no answer with status 200 within a few seconds.
        """

    def stop(self, name: str) -> Action:
        """Returns the action that stops a worker after its current batch."""

    def kill(self, name: str) -> Action:
        """Returns the action that kills a worker."""

    def kill_random(self) -> Action:
        """Returns the action that kills any one worker."""

    def scale(self, scaling: Scaling) -> Action:
        """Returns the action that sets the desired number of workers."""

    def close(self) -> None:
        """Closes all connections."""
