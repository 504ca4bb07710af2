"""Reads the state of the nodes, and finds reasons why a broker must not fail."""

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
    """A node and its process.

    Attributes:
        id: Kafka's `node.id`.
        roles: Kafka's `process.roles`.
        address: address for clients, as `host:port`.
        pid: process id of the node; None if the node does not run.
    """

    id: int
    roles: str
    address: str
    pid: int | None


@dataclass(frozen=True)
class Status:
    """The state of a cluster.

    Attributes:
        bootstrap: `host:port` of the live brokers, joined by commas; None if all are dead.
        nodes: all nodes.
        weaknesses: reasons why the cluster does not tolerate the failure of a broker; empty if it
            does.
        security: security protocol of clients, such as `sasl_ssl`.
    """

    bootstrap: str | None
    nodes: tuple[NodeStatus, ...]
    weaknesses: tuple[str, ...]
    security: str


def cluster_status(folder: Path, state: ClusterState) -> Status:
    """Returns the state of a cluster, from the process table and the brokers.

    Args:
        folder: folder of the cluster.
        state: state in the folder.

    Raises:
        ClusterError: the credentials cannot be read.
    """
    running = running_nodes(folder)
    live = [node.address for node in state.nodes if node.id in running]
    bootstrap = ",".join(live) or None
    weaknesses = ["no broker runs"]
    if bootstrap is not None:
        try:
            client = {**client_config(folder, state), "bootstrap.servers": bootstrap}
            weaknesses = _weaknesses(admin_client(client), state, set(running))
        except KafkaException as error:
            weaknesses = [f"the state of the brokers can't be read: {error.args[0].str()}"]
    return Status(
        bootstrap,
        tuple(
            NodeStatus(node.id, node.roles, node.address, running.get(node.id))
            for node in state.nodes
        ),
        tuple(weaknesses),
        state.security,
    )


def _weaknesses(admin: Any, state: ClusterState, running: set[int]) -> list[str]:
    found = [f"node {n.id} is dead" for n in state.nodes if n.id not in running]
    voters = [node for node in state.controllers if node.id in running]
    needed = len(state.controllers) // 2 + 1
    if len(state.controllers) == 1:
        found.append("node 1 is the only controller; a cluster of 3 brokers has 3 controllers")
    elif len(voters) <= needed:
        found.append(f"{len(voters)} controllers are alive, and {needed} are needed")
    topics = admin.list_topics(timeout=10).topics
    least = min_in_sync(admin, sorted(topics))
    for name in sorted(topics):
        partitions = topics[name].partitions.values()
        weak = [p for p in partitions if len(p.isrs) - 1 < max(1, least[name])]
        if weak:
            copies = min(len(p.isrs) for p in weak)
            found.append(
                f"{name}: {len(weak)} of {len(partitions)} partitions have {copies} live replica(s)"
            )
    return found
