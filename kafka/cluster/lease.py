"""A cluster that ends with its last user, whatever ends that user.

A small guard process beside each user waits for the user's end of a pipe to
close, which the kernel does even after ``kill -9``. The last guard to see its
user go ends the cluster and deletes its records.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kafka.cluster.local import Cluster
from kafka.cluster.progress import Progress
from kafka.cluster.state import ClusterError

_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def leased(
    folder: Path,
    brokers: int = 1,
    progress: Progress | None = None,
    security: str | None = None,
    host: str | None = None,
) -> Iterator[Cluster]:
    """Use a cluster together with whoever else uses it; the last one ends it.

    Args:
        folder: Where it keeps everything; its records are deleted in the end.
        brokers: How many there shall be at least.
        progress: Told about download and start.
        security: As for :meth:`Cluster.start`.
        host: As for :meth:`Cluster.start`.

    Raises:
        ClusterError: It cannot be started.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-m", "kafka.cluster.lease", str(folder.resolve())],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in the terminal is for the user, not for the guard
    ) as guard:
        assert guard.stdin is not None
        assert guard.stdout is not None
        if not guard.stdout.readline():
            raise ClusterError(f"the guard of the cluster in {folder} did not start")
        try:
            yield Cluster.start(folder, brokers, progress=progress, security=security, host=host)
        finally:
            guard.stdin.close()
            guard.wait()


def _guard(folder: Path) -> None:
    with (folder / "users").open("w") as users:
        # Waits while another guard, the last of its time, is ending the cluster.
        fcntl.flock(users, fcntl.LOCK_SH)
        _say_ready(sys.stdout)
        sys.stdin.read()
        fcntl.flock(users, fcntl.LOCK_UN)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # somebody still uses it
        Cluster(folder).down(delete=True)


def _say_ready(out: IO[str]) -> None:
    out.write("ready\n")
    out.flush()


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
