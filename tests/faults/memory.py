"""A memory limit that the kernel enforces by killing, as in a container."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_MIB = 1024 * 1024


def why_impossible() -> str | None:
    """Why no limit can be set here, or None."""
    try:
        with limited():
            return None
    except OSError as error:
        return f"no memory cgroup can be made: {error}"


@contextlib.contextmanager
def limited(pid: int | None = None, mib: int = 1024) -> Iterator[None]:
    """Puts a process into a cgroup of its own with so much memory, until the block ends.

    Args:
        pid: the process; its children to come are in it as well.
        mib: the limit; what is in use already does not count with version 1 of cgroups.

    Raises:
        OSError: cgroups can't be written here.
    """
    home, limit = _home()
    group = home.parent / f"faults-{os.getpid()}-{time.monotonic_ns()}"
    group.mkdir()
    try:
        (group / limit).write_text(str(mib * _MIB))
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        _leave(group, home)
        group.rmdir()


def _home() -> tuple[Path, str]:
    """The group that we are in ourselves, and the name of the file with its limit."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return _CGROUPS / "memory" / path.lstrip("/"), "memory.limit_in_bytes"
        if number == "0" and (_CGROUPS / "cgroup.controllers").exists():
            return _CGROUPS / path.lstrip("/"), "memory.max"
    raise OSError("no memory controller")


def _leave(group: Path, home: Path) -> None:
    """Moves what is in the group to where we are."""
    for _ in range(100):
        pids = (group / "cgroup.procs").read_text().split()
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(OSError):
                (home / "cgroup.procs").write_text(pid)
        time.sleep(0.02)
