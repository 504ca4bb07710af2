"""Shares a cluster between processes, and stops the cluster when the last of them ends.

Each process that uses the cluster, a user, starts a guard process. The guard waits until its user's
end of a pipe is closed. The kernel closes it even after `kill -9`. The guard of the last user stops
the cluster and deletes its data.
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
    """Starts a cluster, or uses a cluster that other processes have started.

    When the last process leaves this context, the cluster is stopped and deleted.

    Args:
        folder: folder of the cluster.
        brokers: minimum number of brokers.
        progress: shows the download and the start.
        security: security protocol, one of `kafka.cluster.state.SECURITY`; None keeps the protocol,
            which is `plaintext` for a new cluster.
        host: address that the brokers of a new cluster listen on; None takes 127.0.0.1.

    Raises:
        ClusterError: the guard or the cluster cannot be started.
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
        # The call waits while the guard of an earlier user stops the cluster.
        fcntl.flock(users, fcntl.LOCK_SH)
        _report_ready(sys.stdout)
        sys.stdin.read()
        fcntl.flock(users, fcntl.LOCK_UN)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # another process still uses the cluster
        Cluster(folder).down(delete=True)


def _report_ready(out: IO[str]) -> None:
    out.write("ready\n")
    out.flush()


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
