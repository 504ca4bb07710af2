"""Starting nodes, and waiting until they serve."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from kafka.cluster.address import HOST, running_nodes
from kafka.cluster.distribution import Distribution
from kafka.cluster.metadata import live_brokers
from kafka.cluster.node import failure, launch, prepare
from kafka.cluster.process import (
    alive,
    answers,
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
_MEMORY_MIB = 400  # what one broker takes at rest


def start_nodes(
    folder: Path,
    state: ClusterState,
    wanted: Sequence[Node],
    kafka: Distribution,
    progress: Progress,
) -> None:
    """Start nodes and wait until the cluster counts them as alive.

    Raises:
        ClusterError: One of them cannot; none of them is left running then.
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
        # Also those whose start was cut short before their pid was known.
        ours = {node.id for node in wanted}
        left = [pid for number, pid in running_nodes(folder).items() if number in ours]
        end(sorted({*left, *started.values()}), patience_s=0)
        raise


def await_ready(
    folder: Path, state: ClusterState, pids: dict[int, int], progress: Progress
) -> None:
    """Wait until the cluster counts these nodes as alive.

    Args:
        folder: The cluster's folder.
        state: Its nodes.
        pids: The process of each node that is waited for.
        progress: Advanced by one for each node that serves.

    Raises:
        ClusterError: One ended, or was not ready in a minute.
    """
    serving: set[int] = set()
    client = client_config(folder, state)

    def all_serve() -> bool:
        for number, pid in pids.items():
            if not alive(pid):
                raise failure(folder, state.node(number), "ended while starting")
        # Asking costs a client; a closed port answers sooner.
        asked = [state.node(number) for number in pids]
        if all(answers(node.broker_port, node.host) for node in asked):
            now = live_brokers(client) & set(pids)
            progress.advance(len(now - serving))
            serving.update(now)
        return len(serving) == len(pids)

    if not await_true(all_serve, _READY_S):
        late = min(set(pids) - serving)
        raise failure(folder, state.node(late), f"was not ready within {_READY_S:.0f} s")


def check_room(folder: Path, brokers: int) -> None:
    """Refuse a start that would end in the middle.

    Raises:
        ClusterError: Memory or disk is too small for so many more brokers.
    """
    memory = free_memory_mib()
    if memory is not None and memory < brokers * _MEMORY_MIB:
        raise ClusterError(
            f"not enough memory: {brokers} broker(s) take about {brokers * _MEMORY_MIB} MiB, "
            f"and {memory} MiB are free"
        )
    disk = shutil.disk_usage(folder).free // 2**20
    if disk < _DISK_MIB:
        raise ClusterError(
            f"not enough disk: {folder} has {disk} MiB free, Kafka wants {_DISK_MIB}"
        )


def port_picker(first: int | None) -> Callable[[], int]:
    """Ports from a named one on, or free ones; none is given twice."""
    given: set[int] = set()

    def pick() -> int:
        port = free_port() if first is None else first + len(given)
        while port in given:
            port = free_port()
        given.add(port)
        return port

    return pick


def _check_ports(node: Node) -> None:
    """Say which port is taken, before Kafka says it in a stack trace."""
    for port, host in ((node.broker_port, node.host), (node.controller_port, HOST)):
        # A process that has just died may hold its port for a moment.
        if port is not None and not await_true(
            lambda p=port, h=host: port_is_free(p, h),  # type: ignore[misc]
            _PORT_S,
        ):
            raise ClusterError(
                f"port {port}, which node {node.id} needs, is taken by another program: end "
                "that one, or start a new cluster at other ports (`down --delete`, then `up`)"
            )
