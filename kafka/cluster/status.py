"""What runs, and whether the death of a broker would be survived."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from kafka.cluster.address import running_nodes
from kafka.cluster.metadata import admin_client, min_in_sync
from kafka.cluster.security import client_config
from kafka.cluster.state import ClusterState


@dataclass(frozen=True)
class NodeStatus:
    """A node and its process, None if it is dead."""

    id: int
    roles: str
    address: str
    pid: int | None


@dataclass(frozen=True)
class Status:
    """What runs.

    Attributes:
        bootstrap: The living brokers, or None if all are dead.
        nodes: All nodes.
        weaknesses: Why the death of a broker would not be survived; empty if it would.
        security: What clients must speak, such as ``sasl_ssl``.
    """

    bootstrap: str | None
    nodes: tuple[NodeStatus, ...]
    weaknesses: tuple[str, ...]
    security: str


def cluster_status(folder: Path, state: ClusterState) -> Status:
    """Ask the process table and the brokers.

    Args:
        folder: The cluster's folder.
        state: What should run.
    """
    running = running_nodes(folder)
    living = [node.address for node in state.nodes if node.id in running]
    bootstrap = ",".join(living) or None
    weak = ["no broker runs"]
    if bootstrap is not None:
        try:
            client = {**client_config(folder, state), "bootstrap.servers": bootstrap}
            weak = _weaknesses(admin_client(client), state, set(running))
        except KafkaException as error:
            weak = [f"the brokers do not answer: {error.args[0].str()}"]
    return Status(
        bootstrap,
        tuple(
            NodeStatus(node.id, node.roles, node.address, running.get(node.id))
            for node in state.nodes
        ),
        tuple(weak),
        state.security,
    )


def _weaknesses(admin: Any, state: ClusterState, running: set[int]) -> list[str]:
    found = [f"node {n.id} is dead" for n in state.nodes if n.id not in running]
    voters = [node for node in state.controllers if node.id in running]
    needed = len(state.controllers) // 2 + 1
    if len(state.controllers) == 1:
        found.append("node 1 alone keeps the cluster's metadata; from 3 brokers on, 3 nodes do")
    elif len(voters) <= needed:
        found.append(f"{len(voters)} controllers are alive, and {needed} must be")
    topics = admin.list_topics(timeout=10).topics
    least = min_in_sync(admin, sorted(topics))
    for name in sorted(topics):
        partitions = topics[name].partitions.values()
        thin = [p for p in partitions if len(p.isrs) - 1 < max(1, least[name])]
        if thin:
            copies = min(len(p.isrs) for p in thin)
            found.append(
                f"{name}: {len(thin)} of {len(partitions)} partitions have {copies} live replica(s)"
            )
    return found
