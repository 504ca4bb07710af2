"""Faults of the machine: a full disk, and a clock that jumps.

The disk is a tmpfs. It is full because it is shrunk to the size of its content, which takes no
further memory. It gets its old size back at the end.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import time
from pathlib import Path

from tests.faults.catalogue.brokers import FOURTH, add_fourth, fourth_home
from tests.faults.context import RunContext
from tests.faults.fault import Fault, FaultNotObserved
from tests.faults.replica import Replica

_PAGE = 4096
_TRIES = 50
_HOUR_S = 3600
# Seconds that a clock stays set, and tolerance of a reading.
_JUMPED_S = 4.0
_CLOCK_TOLERANCE_S = 60.0


def _no_small_disk(context: RunContext) -> str | None:
    if context.cluster is None:
        return "the brokers do not belong to the run"
    home = context.cluster.folder / f"probe-{os.getpid()}"
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


def _disk_full(context: RunContext) -> str:
    cluster = context.own_cluster()
    if len(cluster.state.nodes) < FOURTH:
        add_fourth(context)
    home = fourth_home(cluster)
    if not home.is_mount():
        raise FaultNotObserved(f"the data of node {FOURTH} is not on a disk of its own")
    before = os.statvfs(home)
    try:
        _fill(context, home)
        context.wait_for(lambda: FOURTH not in cluster.alive(), 60, "the broker ends")
        context.sleep(2)
    finally:
        _resize(home, before.f_blocks * before.f_frsize)
    cluster.restart(FOURTH)
    context.wait_for_in_sync_replicas()
    return f"node {FOURTH}, which ended and was started again with space"


def _fill(context: RunContext, home: Path) -> None:
    """Leaves no space on the broker's disk."""
    for _ in range(_TRIES):
        now = os.statvfs(home)
        # The kernel refuses this if the broker has written more meanwhile.
        if _resize(home, (now.f_blocks - now.f_bfree) * now.f_frsize):
            return
        context.sleep(0.01)
    raise FaultNotObserved(f"the disk of node {FOURTH} cannot be shrunk to the size of its content")


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


def _no_faketime(context: RunContext) -> str | None:
    return None if _library() is not None else "libfaketime is not installed"


def _clock_jump(context: RunContext) -> str:
    """Starts one more replica, and sets its clock forward and back by an hour."""
    clock = context.folder / "clock"
    replica = context.replica("c")

    def set_clock(seconds: int) -> None:
        draft = clock.with_suffix(".new")
        draft.write_text(f"{seconds:+d}s\n")
        draft.replace(clock)

    set_clock(0)
    library = _library()
    replica.start(
        LD_PRELOAD=str(library),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        FAKETIME_FORCE_MONOTONIC_FIX="0",
    )
    context.wait_for(replica.is_ready, 90, "the replica with a clock of its own is ready")
    _require_library(context, replica)
    for offset_s in (_HOUR_S, -_HOUR_S, 0):
        set_clock(offset_s)
        context.sleep(_JUMPED_S)
        _require_clock(replica, offset_s)
    context.wait_for_recovery()
    if not _partitions(replica):
        raise FaultNotObserved("the replica with a clock of its own read no partition")
    replica.terminate()
    replica.wait()
    return "one replica's clock, an hour forward, two back, one forward"


def _require_library(context: RunContext, replica: Replica) -> None:
    pid = context.wait_for(replica.worker, 30, "the replica with a clock of its own has a worker")
    if "libfaketime" not in Path(f"/proc/{pid}/maps").read_text("utf-8"):
        raise FaultNotObserved(f"the worker {pid} runs without libfaketime")


def _require_clock(replica: Replica, offset_s: int) -> None:
    time_s = replica.clock()
    off_by_s = None if time_s is None else time_s - time.time()
    if off_by_s is None or abs(off_by_s - offset_s) > _CLOCK_TOLERANCE_S:
        raise FaultNotObserved(
            f"the clock was set to be off by {offset_s} s, and is off by {off_by_s} s"
        )


def _partitions(replica: Replica) -> list[int]:
    """Returns the partitions that the replica reads."""
    status, text = replica.ask("/status")
    return list(json.loads(text)["workers"][0]["partitions"]) if status == 200 else []


FAULTS = (
    Fault("machine: disk full under a broker", "brokers", _disk_full, _no_small_disk),
    Fault("machine: a clock that jumps", "machine", _clock_jump, _no_faketime),
)
