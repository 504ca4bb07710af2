"""Measures processor time and memory of processes and their children."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import psutil


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """Returns the user and system time of the processes and their children, in seconds."""
    total = 0.0
    for each in _with_children(processes):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system
    return total


def resident_mib(processes: Iterable[psutil.Process]) -> float:
    """Returns the resident memory of the processes and their children, in MiB."""
    total = 0
    for each in _with_children(processes):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += each.memory_info().rss
    return total / 2**20


def _with_children(processes: Iterable[psutil.Process]) -> Iterator[psutil.Process]:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            yield from (process, *process.children(recursive=True))
