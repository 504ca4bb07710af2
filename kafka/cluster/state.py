"""What a cluster remembers between starts: its id and its nodes."""

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
    """The local cluster cannot do what was asked; the message says what to do."""


@dataclass(frozen=True)
class Node:
    """One Kafka process.

    Attributes:
        id: 1, 2, 3, ...
        broker_port: Where clients connect.
        controller_port: Where the quorum talks, or None for a broker only.
        directory_id: Kafka's id of the data folder, known beforehand for the
            controllers that found the quorum; None for those that join later.
        host: Where clients, and other brokers, find it.
    """

    id: int
    broker_port: int
    controller_port: int | None = None
    directory_id: str | None = None
    host: str = HOST

    @property
    def roles(self) -> str:
        """Kafka's ``process.roles``."""
        return "broker" if self.controller_port is None else "broker,controller"

    @property
    def address(self) -> str:
        """``host:port`` for clients."""
        return f"{self.host}:{self.broker_port}"


@dataclass(frozen=True)
class ClusterState:
    """A cluster's id and nodes, in order of their ids, and how clients reach them.

    Attributes:
        cluster_id: As Kafka writes ids.
        nodes: In order.
        security: One of ``SECURITY``; it does not change in a cluster's life.
    """

    cluster_id: str
    nodes: tuple[Node, ...] = ()
    security: str = PLAINTEXT

    @property
    def replication(self) -> int:
        """Replicas that each partition should have."""
        return min(QUORUM, len(self.nodes))

    @property
    def bootstrap(self) -> str:
        """``host:port`` of every broker, joined by commas."""
        return ",".join(node.address for node in self.nodes)

    @property
    def controllers(self) -> tuple[Node, ...]:
        """The nodes that vote."""
        return tuple(node for node in self.nodes if node.controller_port is not None)

    def node(self, number: int) -> Node:
        """The node of this number.

        Raises:
            ClusterError: There is no such node.
        """
        for node in self.nodes:
            if node.id == number:
                return node
        known = ", ".join(str(node.id) for node in self.nodes)
        raise ClusterError(f"there is no node {number}; this cluster has: {known}")

    def grown(self, brokers: int, free_port: Callable[[], int], host: str = HOST) -> ClusterState:
        """This cluster with nodes added up to a number of brokers.

        Nodes 1 to 3 vote as soon as there are three; with fewer, node 1 alone
        does: two voters would survive no death, and be stopped by either's.

        Args:
            brokers: How many there shall be; fewer than there are changes nothing.
            free_port: Picks a port for what needs one.
            host: Where a new cluster's brokers listen; others stay where they are.
        """
        founding = not self.nodes
        if not founding:
            host = self.nodes[0].host
        voters = QUORUM if max(brokers, len(self.nodes)) >= QUORUM else 1
        nodes = list(self.nodes)
        for number in range(len(nodes) + 1, brokers + 1):
            nodes.append(Node(id=number, broker_port=free_port(), host=host))
        for at, node in enumerate(nodes[:voters]):
            if node.controller_port is None:
                directory_id = random_id() if founding else None
                nodes[at] = replace(node, controller_port=free_port(), directory_id=directory_id)
        return replace(self, nodes=tuple(nodes))


def random_id() -> str:
    """A new id as Kafka writes them: 16 bytes, URL-safe base64, no padding."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):  # which Kafka's command line would take for an option
            return text


def load_state(folder: Path) -> ClusterState | None:
    """The cluster that this folder holds, or None.

    Raises:
        ClusterError: The file is there but is not one of ours.
    """
    path = folder / STATE_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        nodes = tuple(Node(**node) for node in content["nodes"])
        security = content.get("security", PLAINTEXT)  # which older clusters do not say
        return ClusterState(content["cluster_id"], nodes, security)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(
            f"{path} cannot be read ({error}); `python -m kafka.cluster down --delete` "
            "starts afresh"
        ) from error


def save_state(folder: Path, state: ClusterState) -> None:
    """Write the state so that a crash leaves the old or the new, whole."""
    path = folder / STATE_FILE
    draft = path.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
