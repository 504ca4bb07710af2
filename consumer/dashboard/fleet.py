"""The interface of both backends, through which the page reads and controls workers.

All calls block while they wait for the network; the page makes them from threads.
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
"""An output callback, which takes a piece of output for the console."""


class FleetError(Exception):
    """The workers can't be read or changed; the message has the reason and the remedy."""


@dataclass(frozen=True)
class Instance:
    """A replica or a pod: a supervisor with its worker processes.

    Attributes:
        name: its name in commands.
        identity: identifies this run; a later instance of the same name has another identity.
        started_s: the time of its start, in seconds since 1970.
        ready: whether it reports that it is ready.
        leaving: whether it finishes its work and ends.
        ended_s: the time of its end, in seconds since 1970; None while it runs.
        why: the reason why it ended or is not ready, as far as the platform knows.
        memory_bytes: its memory, if the platform measures it.
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
        minimum: the least number of workers.
        maximum: the greatest number of workers.
        count: the number of workers in the mode `by-hand`.
        lag_per_worker: the lag for each worker in the mode `automatic`, in messages; 0 if another
            measure than the lag decides.
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
        at_s: its time, in seconds since 1970.
        name: the name of the worker.
        what: the new state: `started`, `ready`, `leaving` or `gone`.
        why: the reason, or an empty text.
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
        instances: the running instances, then those that ended recently.
        scaling: the current scaling; None if unknown.
        wanted: the desired number of workers at this time.
        modes: the modes that the platform supports.
        events: the latest events, in order.
    """

    instances: tuple[Instance, ...] = ()
    scaling: Scaling | None = None
    wanted: int | None = None
    modes: tuple[str, ...] = ()
    events: tuple[WorkerEvent, ...] = field(default=())


@dataclass(frozen=True)
class Action:
    """An action, with the shell command that does the same.

    Attributes:
        command: the shell command, for the user to copy.
        run: does it; takes an output callback and returns an exit status.
    """

    command: str
    run: Callable[[Output], int]


class Backend(Protocol):
    """The platform on which workers run."""

    @property
    def location(self) -> str:
        """The location of the workers: `this machine`, `seldon/kmnist on https://…`."""

    def snapshot(self) -> Fleet:
        """Returns a snapshot of all workers.

        Raises:
            FleetError: the platform does not answer.
        """

    def fetch(self, instance: Instance, path: str) -> bytes:
        """Returns a page (`/status`, `/metrics`) of a running instance's supervisor.

        Raises:
            FleetError: there is no answer with status 200 within seconds.
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
