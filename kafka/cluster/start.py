"""Starts nodes, and waits until they are ready for clients."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from kafka.cluster.address import HOST, running_nodes
from kafka.cluster.distribution import Distribution
from kafka.cluster.metadata import live_brokers
from kafka.cluster.node import launch, node_error, prepare
from kafka.cluster.process import (
    accepts_connections,
    alive,
    await_true,
    end,
    free_memory_mib,
    free_port,
    port_is_free,
)
from kafka.cluster.progress import Progress
from kafka.cluster.security import client_config
from kafka.cluster.state import ClusterError, ClusterState, Node

_READY_S = 60.0
_PORT_S = 1.0
_DISK_MIB = 300
_MEMORY_MIB = 400  # memory of an idle broker


def start_nodes(
    folder: Path,
    state: ClusterState,
    wanted: Sequence[Node],
    kafka: Distribution,
    progress: Progress,
) -> None:
    """Starts nodes, and waits until the cluster reports all of them as alive.

    Args:
        folder: folder of the cluster.
        state: state of the cluster.
        wanted: the nodes to start.
        kafka: Java and Kafka.
        progress: advanced by two for each node.

    Raises:
        ClusterError: a node did not start. All of the nodes in `wanted` are then killed.
    """
    progress.begin("Starting Apache Kafka", 2 * len(wanted))
    started: dict[int, int] = {}
    try:
        for node in wanted:
            _check_ports(node)
            prepare(folder, state, node, kafka)
            started[node.id] = launch(folder, node, kafka)
            progress.advance()
        await_ready(folder, state, started, progress)
    except BaseException:
        # An interrupted start may leave processes whose id is not in `started`.
        numbers = {node.id for node in wanted}
        left = [pid for number, pid in running_nodes(folder).items() if number in numbers]
        end(sorted({*left, *started.values()}), timeout_s=0)
        raise


def await_ready(
    folder: Path, state: ClusterState, pids: dict[int, int], progress: Progress
) -> None:
    """Waits until the cluster reports these nodes as alive.

    Args:
        folder: folder of the cluster.
        state: state of the cluster.
        pids: process ids of the nodes to wait for, by node id.
        progress: advanced by one for each node that is alive.

    Raises:
        ClusterError: a node ended, or was not ready within a minute.
    """
    serving: set[int] = set()
    client = client_config(folder, state)

    def all_serve() -> bool:
        for number, pid in pids.items():
            if not alive(pid):
                raise node_error(folder, state.node(number), "ended while starting")
        # The ports are checked first, because a connection costs less than a Kafka client.
        expected = [state.node(number) for number in pids]
        if all(accepts_connections(node.broker_port, node.host) for node in expected):
            now = live_brokers(client) & set(pids)
            progress.advance(len(now - serving))
            serving.update(now)
        return len(serving) == len(pids)

    if not await_true(all_serve, _READY_S):
        late = min(set(pids) - serving)
        raise node_error(folder, state.node(late), f"was not ready within {_READY_S:.0f} s")


def check_resources(folder: Path, brokers: int) -> None:
    """Checks that memory and disk space suffice, so that a start does not fail halfway.

    Args:
        folder: folder of the cluster.
        brokers: number of brokers to start.

    Raises:
        ClusterError: memory or disk space is too small.
    """
    memory = free_memory_mib()
    if memory is not None and memory < brokers * _MEMORY_MIB:
        raise ClusterError(
            f"not enough memory: {brokers} broker(s) need about {brokers * _MEMORY_MIB} MiB, "
            f"and {memory} MiB are free"
        )
    disk = shutil.disk_usage(folder).free // 2**20
    if disk < _DISK_MIB:
        raise ClusterError(
            f"not enough disk space: {folder} has {disk} MiB free, Kafka needs {_DISK_MIB} MiB"
        )


def port_picker(first: int | None) -> Callable[[], int]:
    """Returns a function that returns another port at each call.

    Args:
        first: first of consecutive ports; None for random free ports.
    """
    picked: set[int] = set()

    def pick() -> int:
        port = free_port() if first is None else first + len(picked)
        while port in picked:
            port = free_port()
        picked.add(port)
        return port

    return pick


def _check_ports(node: Node) -> None:
    """Checks that the ports of a node are free, because Kafka reports used ports less clearly.

    Raises:
        ClusterError: a port is in use.
    """
    for port, host in ((node.broker_port, node.host), (node.controller_port, HOST)):
        # The port of a process that has just died may be in use for a moment.
        if port is not None and not await_true(
            lambda p=port, h=host: port_is_free(p, h),  # type: ignore[misc]
            _PORT_S,
        ):
            raise ClusterError(
                f"port {port} of node {node.id} is in use by another program: end that program, "
                "or start a new cluster on other ports (`down --delete`, then `up`)"
            )
