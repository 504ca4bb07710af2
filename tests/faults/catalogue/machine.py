"""A disk that is full, and a clock that jumps.

The disk is a tmpfs, which is full because it is made as small as what is in it: that takes no
memory beyond the broker's own data, and room is made again by making it as large as it was.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import time
from pathlib import Path

from tests.faults.catalogue.brokers import FOURTH, add_fourth, fourth_home
from tests.faults.fault import Fault, NotSeen
from tests.faults.fleet import Replica
from tests.faults.scene import Scene

_PAGE = 4096
_TRIES = 50
_HOUR_S = 3600
# The clock is set for so long; and it may be read so late.
_JUMPED_S = 4.0
_CLOCK_TOLERANCE_S = 60.0


def _no_small_disk(scene: Scene) -> str | None:
    if scene.cluster is None:
        return "the brokers are not ours to break"
    home = scene.cluster.folder / f"probe-{os.getpid()}"
    home.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(home)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"no tmpfs can be mounted: {done.stderr.strip()}"
        subprocess.run(["umount", "-l", str(home)], check=False)
        return None
    finally:
        home.rmdir()


def _disk_full(scene: Scene) -> str:
    cluster = scene.ours()
    if len(cluster.state.nodes) < FOURTH:
        add_fourth(scene)
    home = fourth_home(cluster)
    if not home.is_mount():
        raise NotSeen(f"the data of node {FOURTH} is not on a disk of its own")
    before = os.statvfs(home)
    try:
        _fill(scene, home)
        scene.wait_for(lambda: FOURTH not in cluster.alive(), 60, "the broker ends for it")
        scene.sleep(2)
    finally:
        _resize(home, before.f_blocks * before.f_frsize)
    cluster.restart(FOURTH)
    scene.brokers_whole()
    return f"node {FOURTH}, which ended for it, and was started again with room"


def _fill(scene: Scene, home: Path) -> None:
    """Leaves no room on the disk that the broker is writing to."""
    for _ in range(_TRIES):
        now = os.statvfs(home)
        # Refused if more has been written meanwhile.
        if _resize(home, (now.f_blocks - now.f_bfree) * now.f_frsize):
            return
        scene.sleep(0.01)
    raise NotSeen(f"the disk of node {FOURTH} can't be made as small as what is in it")


def _resize(home: Path, size: int) -> bool:
    size = -(-size // _PAGE) * _PAGE
    mount = ["mount", "-o", f"remount,size={size}", str(home)]
    return subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode == 0


def _library() -> Path | None:
    found = importlib.util.find_spec("libfaketime")
    if found is None or found.origin is None:
        return None
    libraries = Path(found.origin).parent.glob("vendor/libfaketime/src/libfaketime.so*")
    return next(libraries, None)


def _no_faketime(scene: Scene) -> str | None:
    return None if _library() is not None else "libfaketime is not installed"


def _clock_jump(scene: Scene) -> str:
    """One more replica, whose clock is set forward and back by an hour."""
    clock = scene.folder / "clock"
    replica = scene.replica("c")

    def is_off_by(seconds: int) -> None:
        draft = clock.with_suffix(".new")
        draft.write_text(f"{seconds:+d}s\n")
        draft.replace(clock)

    is_off_by(0)
    library = _library()
    replica.start(
        LD_PRELOAD=str(library),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        FAKETIME_FORCE_MONOTONIC_FIX="0",
    )
    scene.wait_for(replica.is_ready, 90, "the replica with a clock of its own is ready")
    _require_library(scene, replica)
    for offset_s in (_HOUR_S, -_HOUR_S, 0):
        is_off_by(offset_s)
        scene.sleep(_JUMPED_S)
        _require_clock(replica, offset_s)
    scene.recovered()
    if not _partitions(replica):
        raise NotSeen("the replica with a clock of its own read no partition")
    replica.terminate()
    replica.wait()
    return "one replica's, an hour forward, two back, one forward"


def _require_library(scene: Scene, replica: Replica) -> None:
    pid = scene.wait_for(replica.worker, 30, "the replica with a clock of its own has a worker")
    if "libfaketime" not in Path(f"/proc/{pid}/maps").read_text("utf-8"):
        raise NotSeen(f"the worker {pid} runs without libfaketime")


def _require_clock(replica: Replica, offset_s: int) -> None:
    told = replica.clock()
    off_by_s = None if told is None else told - time.time()
    if off_by_s is None or abs(off_by_s - offset_s) > _CLOCK_TOLERANCE_S:
        raise NotSeen(f"the clock was set to be off by {offset_s} s, and is by {off_by_s} s")


def _partitions(replica: Replica) -> list[int]:
    """The partitions that it reads."""
    status, text = replica.ask("/status")
    return list(json.loads(text)["workers"][0]["partitions"]) if status == 200 else []


FAULTS = (
    Fault("machine: disk full under a broker", "brokers", _disk_full, _no_small_disk),
    Fault("machine: a clock that jumps", "machine", _clock_jump, _no_faketime),
)
