"""Starting, watching and ending the processes of nodes."""

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
def exclusive(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the cluster alone: two starts at once become one after the other.

    The lock is the kernel's and ends with the process that holds it, so a crash
    leaves none behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another command is at work on this cluster; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def spawn(command: list[str], console: Path) -> int:
    """Start a process that outlives this one, and return its pid.

    It gets a session of its own, so that Ctrl-C in the terminal does not reach
    it, and is no child of ours, so that it leaves no zombie in a long-lived caller.

    Args:
        command: Program and arguments.
        console: Gets what it prints; what an earlier process printed is gone.
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
    """Whether a process runs. A zombie has released all it held, and does not."""
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


def end(pids: list[int], patience_s: float) -> None:
    """End processes and return when they are gone.

    Args:
        pids: The processes.
        patience_s: How long each may take after SIGTERM before SIGKILL; 0 kills at once.
    """
    if patience_s > 0:
        _signal(pids, signal.SIGTERM)
        if await_true(lambda: not any(map(alive, pids)), patience_s):
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
    """Wait until a condition holds; False if it does not within the time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def port_is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def answers(port: int, host: str = HOST) -> bool:
    """Whether something accepts connections on this port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def free_port() -> int:
    """A port that nothing uses and that the kernel gives to no outgoing connection.

    A port from the kernel's own range would not do: while its broker is dead, a
    client that tries to reconnect can be given that very port as its own, connect
    to itself, and keep the broker from coming back.
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
        return 49152, 65535  # the range that IANA sets aside for it
    return (low, high) if low > 12000 else (60000, 65535)


def free_memory_mib() -> int | None:
    """Memory that programs can still get, in MiB; None where the kernel does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return None
