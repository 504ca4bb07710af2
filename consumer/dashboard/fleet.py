"""What the page knows and does about workers, wherever they run: the interface of both backends.

All calls block, for as long as a network takes; the page makes them from threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from kafka.replicas.scaling import AUTOMATIC, BY_HAND, OFF

__all__ = [
    "AUTOMATIC", "BY_HAND", "OFF", "Action", "Backend", "Fleet", "FleetError", "Happening",
    "Instance", "Say", "Scaling",
]  # fmt: skip

Say = Callable[[str], None]
"""Takes a piece of output, for the console."""


class FleetError(Exception):
    """What runs can't be seen or changed; the message says why, and what to do."""


@dataclass(frozen=True)
class Instance:
    """A replica or a pod: a supervisor with workers below it.

    Attributes:
        name: What commands call it.
        identity: Of this life of it; another of the same name has another one.
        started_s: When, in seconds since 1970.
        ready: It says that it works.
        leaving: It was told to finish.
        ended_s: When it ended; None while it runs.
        why: Why it ended, or is not ready, as far as the platform knows.
        memory_bytes: What the platform says that it takes, where it does.
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
    """How many workers there are to be.

    Attributes:
        mode: `off`, `by-hand` or `automatic`.
        minimum: Fewest.
        maximum: Most.
        count: How many by hand.
        lag_per_worker: Messages that one may be behind, in automatic mode; 0 where something
            else than lag decides.
    """

    mode: str
    minimum: int
    maximum: int
    count: int
    lag_per_worker: int


@dataclass(frozen=True)
class Happening:
    """Something that became of a worker, for the marks in the charts.

    Attributes:
        number: Counts up, so that none is taken twice.
        at_s: When, in seconds since 1970.
        name: Of the worker.
        what: `started`, `ready`, `leaving` or `gone`.
        why: More about it, or nothing.
    """

    number: int
    at_s: float
    name: str
    what: str
    why: str = ""


@dataclass(frozen=True)
class Fleet:
    """One look at all workers.

    Attributes:
        instances: Those that run, then those that ended lately.
        scaling: As it is now; None where the platform has none.
        wanted: How many there are to be right now.
        modes: Those that the platform can do.
        happenings: The latest, in order.
    """

    instances: tuple[Instance, ...] = ()
    scaling: Scaling | None = None
    wanted: int | None = None
    modes: tuple[str, ...] = ()
    happenings: tuple[Happening, ...] = field(default=())


@dataclass(frozen=True)
class Action:
    """Something to do, and how it is done on a shell.

    Attributes:
        command: For a person to copy.
        run: Does it: is handed where output goes, returns an exit status.
    """

    command: str
    run: Callable[[Say], int]


class Backend(Protocol):
    """Where workers run."""

    @property
    def place(self) -> str:
        """What it is, for the page's head: `this machine`, `seldon/kmnist on https://…`."""

    def look(self) -> Fleet:
        """How things stand.

        Raises:
            FleetError: Nobody says.
        """

    def fetch(self, instance: Instance, path: str) -> bytes:
        """Gets a path (`/status`, `/metrics`) of a running instance's supervisor.

        Raises:
            FleetError: It does not answer with status 200 within a second or so.
        """

    def stop(self, name: str) -> Action:
        """Lets a worker finish and leave."""

    def kill(self, name: str) -> Action:
        """Ends a worker at once."""

    def kill_random(self) -> Action:
        """Ends any one worker at once."""

    def scale(self, scaling: Scaling) -> Action:
        """Sets how many there are to be."""

    def close(self) -> None:
        """Lets go of all connections."""
