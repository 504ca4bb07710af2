"""Processor time and memory of processes and of all that they started."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import psutil


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """User and system time so far, of the processes and their children."""
    total = 0.0
    for each in _families(processes):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system
    return total


def resident_mib(processes: Iterable[psutil.Process]) -> float:
    """Resident memory now, of the processes and their children."""
    total = 0
    for each in _families(processes):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += each.memory_info().rss
    return total / 2**20


def _families(processes: Iterable[psutil.Process]) -> Iterator[psutil.Process]:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            yield from (process, *process.children(recursive=True))
