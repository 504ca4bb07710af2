"""CPU time of processes and of all that they started."""

from __future__ import annotations

from collections.abc import Iterable

import psutil


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """User and system time so far, of the processes and their children."""
    total = 0.0
    for process in processes:
        try:
            family = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        for each in family:
            try:
                times = each.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
    return total


def resident_mib(processes: Iterable[psutil.Process]) -> float:
    """Resident memory now, of the processes and their children."""
    total = 0
    for process in processes:
        try:
            family = [process, *process.children(recursive=True)]
            total += sum(each.memory_info().rss for each in family)
        except psutil.NoSuchProcess:
            continue
    return total / 2**20
