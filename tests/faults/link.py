"""A network between this machine and one of its namespaces, which can delay or drop packets.

Each end is a TUN device, and a process carries the packets between them. So TCP sees a real bad
network. (`tc netem` could do the same where the kernel has it.)
"""

from __future__ import annotations

import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests.faults.environment import with_settings

_TUN = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_MTU = 60_000
_MAX_WAITING = 20_000


class LinkState(NamedTuple):
    """The state of the link.

    Attributes:
        delay_ms: delay of each packet in milliseconds.
        jitter_ms: maximum of an additional random delay; packets keep their order.
        to_there: whether packets from this machine arrive.
        to_here: whether packets from the namespace arrive.
    """

    delay_ms: float = 0
    jitter_ms: float = 0
    to_there: bool = True
    to_here: bool = True


def why_impossible() -> str | None:
    """Returns why there can be no such network here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not _TUN.exists():
        return f"the kernel has no {_TUN}"
    return None


class Link:
    """A namespace and the link to it, as a context manager.

    Attributes:
        namespace: its name, for `ip netns exec`.
        here: address of this machine on the link.
        there: address of the namespace.
    """

    def __init__(self) -> None:
        self.namespace = f"faults-{os.getpid()}"
        # Simultaneous runs have different addresses, four for each.
        third, fourth = divmod(4 * os.getpid() % 65_536, 256)
        self.here = f"10.213.{third}.{fourth + 1}"
        self.there = f"10.213.{third}.{fourth + 2}"

    def __enter__(self) -> Link:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.link", self.namespace, self.here, self.there],
            env=with_settings({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise OSError(f"the link to the namespace {self.namespace} cannot be created")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def set_state(self, state: LinkState) -> None:
        """Changes the state of the link."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(state).encode() + b"\n")
        self._process.stdin.flush()


class _Direction:
    """The packets of one direction, with their due times."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._waiting: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._latest = 0.0

    def put(self, packet: bytes, delay_s: float) -> None:
        due = self._latest = max(self._latest, time.monotonic() + delay_s)
        if len(self._waiting) < _MAX_WAITING:
            self._count += 1
            heapq.heappush(self._waiting, (due, self._count, packet))

    def deliver(self) -> float:
        """Delivers the packets that are due; returns the seconds until the next one."""
        while self._waiting:
            wait_s = self._waiting[0][0] - time.monotonic()
            if wait_s > 0:
                return wait_s
            os.write(self._target, heapq.heappop(self._waiting)[2])
        return 1.0


def _carry(here: int, there: int) -> None:
    """Carries packets until standard input ends."""
    state = LinkState()
    directions = {here: _Direction(there), there: _Direction(here)}
    commands = sys.stdin.fileno()
    while True:
        wait_s = min(each.deliver() for each in directions.values())
        ready, _, _ = select.select([here, there, commands], [], [], wait_s)
        for source in ready:
            if source == commands:
                text = sys.stdin.readline()
                if not text:
                    return
                state = LinkState(*json.loads(text))
                continue
            packet = os.read(source, 65536)
            if state.to_there if source == here else state.to_here:
                delay_ms = state.delay_ms + random.uniform(0, state.jitter_ms)
                directions[source].put(packet, delay_ms / 1000)


def _device(name: str) -> int:
    descriptor = os.open(_TUN, os.O_RDWR)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN_NO_PI))
    return descriptor


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, stdin=subprocess.DEVNULL)


def _up(address: str, peer: str, device: str, *namespace: str) -> None:
    _ip(*namespace, "address", "add", address, "peer", peer, "dev", device)
    _ip(*namespace, "link", "set", device, "mtu", str(_MTU), "up")


def main(namespace: str, near_address: str, far_address: str) -> None:
    """Creates the namespace and its link, carries packets, and removes both at the end."""
    number = os.getpid()
    near, far = f"near{number}", f"far{number}"
    here, there = _device(near), _device(far)
    _ip("netns", "add", namespace)
    try:
        _ip("link", "set", far, "netns", namespace)
        _up(near_address, far_address, near)
        _up(far_address, near_address, far, "-n", namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        _carry(here, there)
    finally:
        _ip("netns", "delete", namespace)


if __name__ == "__main__":
    main(*sys.argv[1:])
