"""Limits processes to a share of a core with cgroups, and pins brokers to a core of their own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

_V1 = Path("/sys/fs/cgroup/cpu")
_V2 = Path("/sys/fs/cgroup")
# With a short period, a worker that has used up its share pauses only briefly.
_PERIOD_US = 20_000


def why_impossible() -> str | None:
    """Returns the reason why shares cannot be set here, or None."""
    if len(os.sched_getaffinity(0)) < 2:
        return "there is one core only"
    try:
        with contextlib.ExitStack() as stack:
            _cgroup(stack, "probe", 0.5)
            return None
    except OSError as error:
        return f"no cgroup for processor time can be created: {error}"


@contextlib.contextmanager
def limited(
    processes: Sequence[psutil.Process], brokers: Sequence[psutil.Process], share: float
) -> Iterator[None]:
    """Limits each process to a share of one core, on cores that the brokers do not use.

    Args:
        processes: processes to limit; each process gets the share for itself.
        brokers: processes of the brokers, which get the first core for the length of the block.
        share: share of a core, from 0 to 1.

    Raises:
        OSError: the system does not allow to create cgroups or to pin processes.
    """
    cores = sorted(os.sched_getaffinity(0))
    with contextlib.ExitStack() as stack:
        for broker in brokers:
            _pin(broker, cores[:1])
            stack.callback(_pin, broker, cores)
        for process in processes:
            _pin(process, cores[1:])
            (_cgroup(stack, str(process.pid), share) / "cgroup.procs").write_text(str(process.pid))
        yield


def _pin(process: psutil.Process, cores: list[int]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        # Affinity belongs to threads, and `cpu_affinity` sets only the first thread's.
        for thread in process.threads():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread.id, cores)


def _cgroup(stack: contextlib.ExitStack, name: str, share: float) -> Path:
    quota = int(share * _PERIOD_US)
    if _V1.exists():
        group = _V1 / f"bench-{name}"
        group.mkdir(exist_ok=True)
        stack.callback(_remove, group)
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(quota))
        return group
    group = _V2 / f"bench-{name}"
    group.mkdir(exist_ok=True)
    stack.callback(_remove, group)
    (group / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
    return group


def _remove(group: Path) -> None:
    # The kernel removes only empty cgroups, so their processes move to the parent.
    for pid in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (group.parent / "cgroup.procs").write_text(pid)
    with contextlib.suppress(OSError):
        group.rmdir()
