"""A memory limit that the kernel enforces, as for a container."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

_CGROUPS = Path("/sys/fs/cgroup")
_MIB = 1024 * 1024


def why_impossible() -> str | None:
    """Returns why no limit can be set here, or None."""
    try:
        with limited() as limit:
            limit.kills()
            return None
    except OSError as error:
        return f"no memory cgroup can be created: {error}"


@dataclasses.dataclass(frozen=True)
class Limit:
    """A limit that is in force.

    Attributes:
        events: the kernel's file with counts of its actions.
    """

    events: Path

    def kills(self) -> int:
        """Returns the number of processes that the kernel killed for the limit."""
        for line in self.events.read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
        raise OSError(f"{self.events} has no count of killed processes")


class _Files(NamedTuple):
    """Names of a cgroup's files, and the value that disables swap."""

    limit: str
    swap: str
    swap_value: Callable[[int], int]
    events: str


_V1 = _Files(
    "memory.limit_in_bytes",
    # This file counts memory and swap together.
    "memory.memsw.limit_in_bytes",
    lambda limit: limit,
    "memory.oom_control",
)
_V2 = _Files("memory.max", "memory.swap.max", lambda limit: 0, "memory.events")


@contextlib.contextmanager
def limited(pid: int | None = None, mib: int = 1024) -> Iterator[Limit]:
    """Limits the memory of a process by a cgroup of its own, until the block ends.

    Args:
        pid: the process; its new children are limited too.
        mib: the limit in MiB; with version 1 of cgroups, memory already in use does not count.

    Raises:
        OSError: cgroups cannot be written here.
    """
    home, files = _own_group()
    group = home.parent / f"faults-{os.getpid()}-{time.monotonic_ns()}"
    group.mkdir()
    try:
        (group / files.limit).write_text(str(mib * _MIB))
        if (group / files.swap).exists():
            (group / files.swap).write_text(str(files.swap_value(mib * _MIB)))
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                (group / "cgroup.procs").write_text(str(pid))
        yield Limit(group / files.events)
    finally:
        _leave(group, home)
        group.rmdir()


def _own_group() -> tuple[Path, _Files]:
    """Returns the cgroup of this process, and the names of its files."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return _CGROUPS / "memory" / path.lstrip("/"), _V1
        if number == "0" and (_CGROUPS / "cgroup.controllers").exists():
            return _CGROUPS / path.lstrip("/"), _V2
    raise OSError("no memory controller")


def _leave(group: Path, home: Path) -> None:
    """Moves the processes of the group to the cgroup of this process."""
    for _ in range(100):
        pids = (group / "cgroup.procs").read_text().split()
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(OSError):
                (home / "cgroup.procs").write_text(pid)
        time.sleep(0.02)
