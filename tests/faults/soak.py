"""A soak: full load for a long time, with an eye on memory."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np
import psutil

from tests.faults.catalogue.inputs import send_poison
from tests.faults.scene import LOCAL, REMOTE, Scene, set_config, topics_of

# So many messages are kept waiting, so that the replicas never have nothing to do.
_BACKLOG = 20_000
_PORTION = 5_000
_LOOK_S = 0.25
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
        process: which.
        first_mib: after the warm-up, a tenth of the time.
        last_mib: in the end.
        slope_mib_per_hour: of a straight line through all samples after the warm-up.
    """

    process: str
    first_mib: float
    last_mib: float
    slope_mib_per_hour: float


@dataclasses.dataclass(frozen=True)
class Soak:
    """What a soak found.

    Attributes:
        seconds: how long it took.
        messages: how many were answered or dead-lettered.
        growth: of each process.
    """

    seconds: float
    messages: int
    growth: Sequence[Growth]


def soak(scene: Scene, seconds: float, say: Callable[[str], None]) -> Soak:
    """Loads two replicas as much as they can take, with bad messages among the good.

    Args:
        scene: where.
        seconds: for how long.
        say: told how it goes, about twenty times.
    """
    for topic in topics_of(scene.settings):
        # Nobody reads them again, and a long soak would fill the disk.
        set_config(scene.admin, topic, "retention.ms", str(_RETENTION_MS))
    scene.start(LOCAL, REMOTE)
    began = time.monotonic()
    samples: dict[str, list[tuple[float, float]]] = {}
    bad_at = sample_at = say_at = 0.0
    while (now := time.monotonic() - began) < seconds:
        lag = scene.lag()
        if lag is not None and lag < _BACKLOG:
            scene.load.burst(_PORTION)
        if now >= bad_at:
            send_poison(scene)
            bad_at = now + _BAD_EVERY_S
        if now >= sample_at:
            for process, mib in _memory(scene).items():
                samples.setdefault(process, []).append((now, mib))
            sample_at = now + _SAMPLE_S
        if now >= say_at:
            latest = ", ".join(f"{name} {of[-1][1]:.1f} MiB" for name, of in samples.items())
            say(f"{now:6.0f} s  {scene.load.sent:,} messages; {latest}")
            say_at = now + seconds / 20
        scene.sleep(_LOOK_S)
    scene.load.flush()
    scene.wait_for(lambda: scene.lag() == 0, _DRAIN_S, "the lag is zero at the end")
    growth = [growth_of(process, of, seconds) for process, of in samples.items()]
    for replica in scene.running():
        replica.terminate()
        replica.wait()
    return Soak(time.monotonic() - began, len(scene.load.confirmed), growth)


def growth_of(process: str, samples: Sequence[tuple[float, float]], seconds: float) -> Growth:
    """The growth that samples (seconds, MiB) show once the warm-up is over."""
    counted = np.array([s for s in samples if s[0] >= _WARM_UP_SHARE * seconds])
    slope = float(np.polyfit(counted[:, 0], counted[:, 1], 1)[0]) * 3600
    return Growth(process, float(counted[0, 1]), float(counted[-1, 1]), slope)


def _memory(scene: Scene) -> dict[str, float]:
    """Resident memory of each supervisor and worker, in MiB."""
    found = {}
    for replica in scene.running():
        pids = {
            f"supervisor {replica.name}": replica.pid,
            f"worker {replica.name}": replica.worker(),
        }
        for name, pid in pids.items():
            if pid is not None:
                found[name] = psutil.Process(pid).memory_info().rss / _MIB
    return found
