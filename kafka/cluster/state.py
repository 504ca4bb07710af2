"""Stores the state of a cluster between starts: its id, its nodes and its security protocol."""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kafka.cluster.address import HOST, PLAINTEXT, STATE_FILE

QUORUM = 3
SECURITY = (PLAINTEXT, "ssl", "sasl_plaintext", "sasl_ssl")


class ClusterError(Exception):
    """A command of the local cluster failed; the text has the reason or says what to do."""


@dataclass(frozen=True)
class Node:
    """One Kafka process of a cluster.

    Attributes:
        id: Kafka's `node.id`, from 1.
        broker_port: port for clients and other brokers.
        controller_port: port of the controller; None if the node is only a broker.
        directory_id: Kafka's id of the data folder, which the first controllers of a cluster get in
            advance; None for all other nodes.
        host: address for clients and other brokers.
    """

    id: int
    broker_port: int
    controller_port: int | None = None
    directory_id: str | None = None
    host: str = HOST

    @property
    def roles(self) -> str:
        """Kafka's `process.roles`."""
        return "broker" if self.controller_port is None else "broker,controller"

    @property
    def address(self) -> str:
        """Address for clients, as `host:port`."""
        return f"{self.host}:{self.broker_port}"


@dataclass(frozen=True)
class ClusterState:
    """The state of a cluster, whether its nodes run or not.

    Attributes:
        cluster_id: id of the cluster, in Kafka's format.
        nodes: the nodes, in order of their ids.
        security: security protocol of clients, one of `SECURITY`; it never changes.
    """

    cluster_id: str
    nodes: tuple[Node, ...] = ()
    security: str = PLAINTEXT

    @property
    def replication(self) -> int:
        """Number of replicas of each partition."""
        return min(QUORUM, len(self.nodes))

    @property
    def bootstrap(self) -> str:
        """`host:port` of each broker, joined by commas."""
        return ",".join(node.address for node in self.nodes)

    @property
    def controllers(self) -> tuple[Node, ...]:
        """The nodes that are controllers as well as brokers."""
        return tuple(node for node in self.nodes if node.controller_port is not None)

    def node(self, number: int) -> Node:
        """Returns the node with this id.

        Raises:
            ClusterError: there is no such node.
        """
        for node in self.nodes:
            if node.id == number:
                return node
        known = ", ".join(str(node.id) for node in self.nodes)
        raise ClusterError(f"there is no node {number}; this cluster has: {known}")

    def with_brokers(
        self, brokers: int, free_port: Callable[[], int], host: str = HOST
    ) -> ClusterState:
        """Returns the state with more brokers.

        With three nodes or more, nodes 1 to 3 are controllers. With fewer nodes, only node 1 is a
        controller: a quorum of two would stop when either of them dies.

        Args:
            brokers: number of brokers; a smaller number than before changes nothing.
            free_port: function that returns a free port.
            host: address that the brokers of a new cluster listen on; an existing cluster keeps its
                address.
        """
        is_new = not self.nodes
        if not is_new:
            host = self.nodes[0].host
        voters = QUORUM if max(brokers, len(self.nodes)) >= QUORUM else 1
        nodes = list(self.nodes)
        for number in range(len(nodes) + 1, brokers + 1):
            nodes.append(Node(id=number, broker_port=free_port(), host=host))
        for index, node in enumerate(nodes[:voters]):
            if node.controller_port is None:
                directory_id = random_id() if is_new else None
                nodes[index] = replace(node, controller_port=free_port(), directory_id=directory_id)
        return replace(self, nodes=tuple(nodes))


def random_id() -> str:
    """Returns a new id in Kafka's format: 16 bytes, URL-safe base64, no padding."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):  # Kafka's command line would read it as an option
            return text


def load_state(folder: Path) -> ClusterState | None:
    """Returns the state of the cluster in a folder; None if the folder has no cluster.

    Raises:
        ClusterError: the state file cannot be parsed.
    """
    path = folder / STATE_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        nodes = tuple(Node(**node) for node in content["nodes"])
        security = content.get("security", PLAINTEXT)  # older clusters do not have it
        return ClusterState(content["cluster_id"], nodes, security)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(
            f"{path} cannot be read ({error}); `python -m kafka.cluster down --delete` "
            "deletes the cluster and its records"
        ) from error


def save_state(folder: Path, state: ClusterState) -> None:
    """Writes the state; a crash leaves either the old or the new state, never a part of it."""
    path = folder / STATE_FILE
    draft = path.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
