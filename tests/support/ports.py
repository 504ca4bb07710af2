"""Ports for what a test starts."""

from __future__ import annotations

import socket

from kafka.cluster.process import free_port as _free_port

_taken: list[socket.socket] = []


def free_port() -> int:
    """A port of 127.0.0.1 that no other test is given, and no outgoing connection.

    What is to listen on it starts later, so a port that is merely free now would not do: tests in
    other processes look for one too. A datagram socket of the same number, which disturbs nobody,
    marks the port as taken until this process ends.
    """
    while True:
        port = _free_port()
        mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            mark.bind(("127.0.0.1", port))
        except OSError:
            mark.close()
            continue
        _taken.append(mark)
        return port


def free_ports(count: int) -> list[int]:
    """Several ports; see `free_port`."""
    return [free_port() for _ in range(count)]
