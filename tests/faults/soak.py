"""A soak: full load for a long time, with measurements of memory."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np
import psutil

from tests.faults.catalogue.inputs import send_poison
from tests.faults.context import LOCAL, REMOTE, RunContext, set_config, topics_of

# The backlog is kept at this size, so that the replicas always have work.
_BACKLOG = 20_000
_PORTION = 5_000
_POLL_S = 0.25
_SAMPLE_S = 5.0
_BAD_EVERY_S = 10.0
_WARM_UP_SHARE = 0.1
_RETENTION_MS = 120_000
_DRAIN_S = 120.0
_MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Growth:
    """A process's resident memory over a soak.

    Attributes:
        process: name of the process.
        first_mib: memory in MiB after the warm-up, a tenth of the time.
        last_mib: memory in MiB at the end.
        slope_mib_per_hour: slope of a straight line through all samples after the warm-up.
    """

    process: str
    first_mib: float
    last_mib: float
    slope_mib_per_hour: float


@dataclasses.dataclass(frozen=True)
class Soak:
    """The result of a soak.

    Attributes:
        seconds: duration of the soak.
        messages: number of messages that were answered or became dead letters.
        growth: growth of each process.
    """

    seconds: float
    messages: int
    growth: Sequence[Growth]


def soak(context: RunContext, seconds: float, on_progress: Callable[[str], None]) -> Soak:
    """Runs two replicas at full load, with some bad messages.

    Args:
        context: context of the run.
        seconds: duration of the soak.
        on_progress: called with a line about the progress, about twenty times.
    """
    for topic in topics_of(context.settings):
        # Nobody reads old messages, and a long soak would fill the disk.
        set_config(context.admin, topic, "retention.ms", str(_RETENTION_MS))
    context.start(LOCAL, REMOTE)
    began = time.monotonic()
    samples: dict[str, list[tuple[float, float]]] = {}
    bad_at = sample_at = report_at = 0.0
    while (now := time.monotonic() - began) < seconds:
        lag = context.lag()
        if lag is not None and lag < _BACKLOG:
            context.load.burst(_PORTION)
        if now >= bad_at:
            send_poison(context)
            bad_at = now + _BAD_EVERY_S
        if now >= sample_at:
            for process, mib in _memory(context).items():
                samples.setdefault(process, []).append((now, mib))
            sample_at = now + _SAMPLE_S
        if now >= report_at:
            latest = ", ".join(f"{name} {of[-1][1]:.1f} MiB" for name, of in samples.items())
            on_progress(f"{now:6.0f} s  {context.load.sent:,} messages; {latest}")
            report_at = now + seconds / 20
        context.sleep(_POLL_S)
    context.load.flush()
    context.wait_for(lambda: context.lag() == 0, _DRAIN_S, "the lag is zero at the end")
    growth = [growth_of(process, of, seconds) for process, of in samples.items()]
    for replica in context.running():
        replica.terminate()
        replica.wait()
    return Soak(time.monotonic() - began, len(context.load.confirmed), growth)


def growth_of(process: str, samples: Sequence[tuple[float, float]], seconds: float) -> Growth:
    """Returns the growth of samples (seconds, MiB) after the warm-up."""
    counted = np.array([s for s in samples if s[0] >= _WARM_UP_SHARE * seconds])
    slope = float(np.polyfit(counted[:, 0], counted[:, 1], 1)[0]) * 3600
    return Growth(process, float(counted[0, 1]), float(counted[-1, 1]), slope)


def _memory(context: RunContext) -> dict[str, float]:
    """Returns the resident memory of each supervisor and worker, in MiB."""
    found = {}
    for replica in context.running():
        pids = {
            f"supervisor {replica.name}": replica.pid,
            f"worker {replica.name}": replica.worker(),
        }
        for name, pid in pids.items():
            if pid is not None:
                found[name] = psutil.Process(pid).memory_info().rss / _MIB
    return found
