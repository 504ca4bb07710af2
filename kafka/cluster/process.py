"""Starts, checks and ends processes, and picks free ports."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kafka.cluster.address import HOST
from kafka.cluster.state import ClusterError

_POLL_S = 0.02


@contextmanager
def exclusive(folder: Path, output: Callable[[str], None]) -> Iterator[None]:
    """Holds the cluster's lock, so that commands run one after another.

    The kernel releases the lock when its process ends, so a crash leaves no lock behind.

    Args:
        folder: folder of the cluster.
        output: called with a text for the user if another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            output("another command is running on this cluster; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def spawn(command: list[str], console: Path) -> int:
    """Starts a process that outlives this one, and returns its process id.

    The new process has its own session, so that Ctrl-C in the terminal does not reach it. It is not
    a child of this process, so that its end leaves no zombie.

    Args:
        command: program and arguments.
        console: file for the output; earlier content is deleted.
    """
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            'log=$1; shift; "$@" </dev/null >"$log" 2>&1 & echo $!',
            "sh",
            str(console),
            *command,
        ],
        start_new_session=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    return int(done.stdout)


def alive(pid: int) -> bool:
    """Returns whether a process runs; a zombie counts as ended, because it holds no resources."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return status.rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        if Path("/proc/self").exists():
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def end(pids: list[int], timeout_s: float) -> None:
    """Ends processes, and waits for their end.

    Args:
        pids: ids of the processes.
        timeout_s: seconds between SIGTERM and SIGKILL; 0 sends SIGKILL at once.

    Raises:
        ClusterError: a process still runs 10 s after SIGKILL.
    """
    if timeout_s > 0:
        _signal(pids, signal.SIGTERM)
        if await_true(lambda: not any(map(alive, pids)), timeout_s):
            return
    _signal(pids, signal.SIGKILL)
    if not await_true(lambda: not any(map(alive, pids)), 10):
        left = ", ".join(str(pid) for pid in pids if alive(pid))
        raise ClusterError(f"these processes do not end: {left}")


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def await_true(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Waits until a condition is true; returns False after the time-out."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def port_is_free(port: int, host: str = HOST) -> bool:
    """Returns whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def accepts_connections(port: int, host: str = HOST) -> bool:
    """Returns whether a server accepts connections on this port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def free_port() -> int:
    """Returns a free port outside the kernel's range for outgoing connections.

    A port within that range would cause errors. While a broker with this port is dead, the kernel
    may give the port to a client that reconnects to the broker. The client then connects to itself,
    and the broker cannot start.

    Raises:
        ClusterError: no free port was found.
    """
    low, high = _outgoing_ports()
    choice = random.SystemRandom()
    for _ in range(1000):
        port = choice.randrange(10000, 60000)
        if not low <= port <= high and port_is_free(port):
            return port
    raise ClusterError("no free port between 10000 and 60000")


def _outgoing_ports() -> tuple[int, int]:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        low, high = (int(number) for number in text.split())
    except (OSError, ValueError):
        return 49152, 65535  # IANA's range for outgoing connections
    # If the kernel's range starts so low, hardly any port from 10000 on is below it. The range is
    # then ignored.
    return (low, high) if low > 12000 else (60000, 65535)


def free_memory_mib() -> int | None:
    """Returns the available memory in MiB; None if the kernel does not report it."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return None
