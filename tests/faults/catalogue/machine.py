"""A disk that is full, and a clock that jumps."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import time
from pathlib import Path

from tests.faults.catalogue.brokers import FOURTH, add_fourth, fourth_home
from tests.faults.fault import Fault
from tests.faults.scene import Scene, wait_for

_CHUNK = bytes(1024 * 1024)
_HOUR_S = 3600


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
        subprocess.run(["umount", str(home)], check=True)
        return None
    finally:
        home.rmdir()


def _disk_full(scene: Scene) -> str:
    cluster = scene.ours()
    if len(cluster.state.nodes) < FOURTH:
        add_fourth(scene)
    home = fourth_home(cluster)
    filler = home / "filler"
    try:
        _fill(filler)
        wait_for(lambda: FOURTH not in cluster.alive(), 60, "the broker ends for want of disk")
        time.sleep(2)
    finally:
        filler.unlink()
    cluster.restart(FOURTH)
    scene.brokers_whole()
    return f"node {FOURTH}, which ended for it, and was started again with room"


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(_CHUNK)
        except OSError:
            pass
        # The last bytes as well, which a whole chunk did not fit into.
        try:
            while file.write(b"\0" * 512):
                pass
        except OSError:
            return


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
    wait_for(replica.is_ready, 90, "the replica with a clock of its own is ready")
    for offset_s in (_HOUR_S, -_HOUR_S, 0):
        is_off_by(offset_s)
        time.sleep(4)
    scene.recovered()
    replica.terminate()
    replica.wait()
    return "one replica's, an hour forward, two back, one forward"


FAULTS = (
    Fault("machine: disk full under a broker", "brokers", _disk_full, _no_small_disk),
    Fault("machine: a clock that jumps", "machine", _clock_jump, _no_faketime),
)
