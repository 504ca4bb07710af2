"""The local cluster: start it, grow it, break it, end it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Callable, Dict, Iterable, List, Optional, Set, Type

from kafka.cluster import node as nodes
from kafka.cluster.address import STATE_FILE, cluster_folder, running_nodes
from kafka.cluster.distribution import Distribution, get_distribution
from kafka.cluster.metadata import live_brokers
from kafka.cluster.process import (
    alive,
    answers,
    await_true,
    end,
    exclusive,
    free_memory_mib,
    free_port,
    port_is_free,
)
from kafka.cluster.progress import Progress
from kafka.cluster.replication import spread
from kafka.cluster.state import ClusterError, ClusterState, Node, load_state, random_id, save_state

_START_S = 60.0
_STOP_S = 10.0
_PORT_S = 5.0
_DISK_MIB = 300
_MEMORY_MIB = 400  # what one broker takes at rest


class Cluster:
    """Apache Kafka in a folder of this machine.

    Nothing about what runs is kept in the object: every question asks the
    folder and the process table, so that several objects, and several
    processes, may hold the same cluster.

    As a context manager it ends the cluster on leaving, and keeps its data.

    Example:
        >>> with Cluster.start(folder, brokers=3) as cluster:  # doctest: +SKIP
        ...     cluster.kill(2)
        ...     cluster.restart(2)
    """

    def __init__(self, folder: Path, progress: Optional[Progress] = None) -> None:
        self.folder = cluster_folder(folder)
        self._progress = progress or Progress()

    @classmethod
    def start(
        cls,
        folder: Path,
        brokers: Optional[int] = None,
        port: Optional[int] = None,
        progress: Optional[Progress] = None,
    ) -> Cluster:
        """Start a cluster, or what is missing of it, and wait until it answers.

        Args:
            folder: Where it keeps everything.
            brokers: How many there shall be; None takes as many as there were, or one.
                More than there are adds some; fewer changes nothing.
            port: Where the first broker listens when the cluster is new, and the
                next ones behind it; None picks free ones.
            progress: Told what happens.

        Raises:
            ClusterError: It cannot; what this call started has been ended again.
        """
        cluster = cls(folder, progress)
        with exclusive(cluster.folder, cluster._progress.say):
            cluster._up(brokers, port)
        return cluster

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.down()

    @property
    def state(self) -> ClusterState:
        """The cluster's id and nodes.

        Raises:
            ClusterError: The folder holds no cluster.
        """
        state = load_state(self.folder)
        if state is None:
            raise ClusterError("there is no local cluster; start one: python -m kafka.cluster up")
        return state

    @property
    def bootstrap(self) -> str:
        """``host:port`` of every broker, dead ones too, joined by commas."""
        return ",".join(node.address for node in self.state.nodes)

    def alive(self) -> List[int]:
        """The nodes that have a live process, in order."""
        return sorted(running_nodes(self.folder))

    def add(self) -> Node:
        """Add one broker, give it its share of the partitions, and return its node.

        Growing past one broker raises the replication of every topic, internal
        ones too, to as many as there are brokers, at most three.

        Raises:
            ClusterError: It did not start, or the cluster is not whole.
        """
        with exclusive(self.folder, self._progress.say):
            self._up(len(self.state.nodes) + 1, None)
        return self.state.nodes[-1]

    def kill(self, number: int) -> None:
        """End a node as a power cut would: SIGKILL.

        Raises:
            ClusterError: There is no such node, or it is dead already.
        """
        with exclusive(self.folder, self._progress.say):
            self.state.node(number)
            pid = running_nodes(self.folder).get(number)
            if pid is None:
                raise ClusterError(f"node {number} is not running")
            end([pid], patience_s=0)

    def restart(self, number: int) -> None:
        """Stop a node if it runs, start it, and wait until it serves again.

        Raises:
            ClusterError: There is no such node, or it did not start.
        """
        with exclusive(self.folder, self._progress.say):
            state = self.state
            node = state.node(number)
            self._stop([number])
            self._start_nodes(state, [node])

    def down(self, delete: bool = False) -> List[int]:
        """End all nodes; return those that ran.

        Args:
            delete: Also delete topics, records and logs. It need not be orderly
                then, and is not.
        """
        if not self.folder.exists():
            return []
        with exclusive(self.folder, self._progress.say):
            running = self.alive()
            self._progress.begin(f"Stopping {len(running)} of {self.folder}")
            self._stop(running, patience_s=0 if delete else _STOP_S)
            if delete:
                self._delete()
        return running

    def _up(self, brokers: Optional[int], port: Optional[int]) -> None:
        before = load_state(self.folder) or ClusterState(cluster_id=random_id())
        had = len(before.nodes)
        wanted = max(brokers or 1, had)
        if brokers is not None and brokers < had:
            self._progress.say(
                f"this cluster has {had} brokers and keeps them; `down --delete` starts afresh"
            )
        if port is not None and had:
            self._progress.say("this cluster keeps its ports; --port is for a new one")
            port = None
        state = before.grown(wanted, _port_picker(port))
        missing = [node for node in state.nodes if node.id not in self.alive()]
        changed = [
            node
            for node in before.nodes
            if node.id in self.alive() and state.node(node.id).roles != node.roles
        ]
        if not missing and not changed:
            self._await_ready(state, state.nodes, running_nodes(self.folder))
            return
        self._check_room(len(missing))
        kafka = get_distribution(self.folder, self._progress)
        if not had:
            self._found(state, kafka)
            return
        # The quorum must answer before others can join it, so those that were there come first.
        old = [node for node in missing if node.id <= had]
        if old:
            self._start_nodes(before, old, kafka)
        save_state(self.folder, state)
        for node in changed:
            self._stop([node.id])
            self._start_nodes(state, [state.node(node.id)], kafka)
        new = [node for node in missing if node.id > had]
        if new:
            self._start_nodes(state, new, kafka)
        if wanted > 1:
            self._spread(state, kafka)

    def _found(self, state: ClusterState, kafka: Distribution) -> None:
        save_state(self.folder, state)
        try:
            self._start_nodes(state, state.nodes, kafka)
        except BaseException:
            # Nobody has used it yet: the next try is free to take other ports.
            self._delete()
            raise

    def _delete(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name == STATE_FILE:
                path.unlink()

    def _spread(self, state: ClusterState, kafka: Distribution) -> None:
        self._progress.begin(f"Spreading partitions over {len(state.nodes)} brokers")
        spread(self.bootstrap, state, kafka)

    def _start_nodes(
        self, state: ClusterState, wanted: Iterable[Node], kafka: Optional[Distribution] = None
    ) -> None:
        kafka = kafka or get_distribution(self.folder, self._progress)
        wanted = list(wanted)
        started = {}
        try:
            self._progress.begin("Starting Apache Kafka", 2 * len(wanted))
            for node in wanted:
                _check_ports(node)
                nodes.prepare(self.folder, state, node, kafka)
                started[node.id] = nodes.launch(self.folder, node, kafka)
                self._progress.advance()
            self._await_ready(state, wanted, started)
        except BaseException:
            # Also those whose start was cut short before their pid was known.
            ours = {node.id for node in wanted}
            left = [pid for number, pid in running_nodes(self.folder).items() if number in ours]
            end(sorted({*left, *started.values()}), patience_s=0)
            raise

    def _await_ready(
        self, state: ClusterState, wanted: Iterable[Node], pids: Dict[int, int]
    ) -> None:
        for node in wanted:
            pid = pids[node.id]
            await_true(lambda n=node, p=pid: answers(n.broker_port) or not alive(p), _START_S)  # type: ignore[misc]
            self._check_alive(node, pid)
        waiting = {node.id for node in wanted}

        def all_serve() -> bool:
            for node in wanted:
                self._check_alive(node, pids[node.id])
            return waiting <= live_brokers(self.bootstrap)

        if not await_true(all_serve, _START_S):
            dead = sorted({node.id for node in state.nodes} - set(self.alive()))
            first = next(iter(wanted))
            raise nodes.failure(
                self.folder,
                first,
                "was not ready within {:.0f} s (dead nodes: {})".format(_START_S, dead or "none"),
            )
        for _ in waiting:
            self._progress.advance()

    def _check_alive(self, node: Node, pid: int) -> None:
        if not alive(pid):
            raise nodes.failure(self.folder, node, "ended while starting")

    def _stop(self, numbers: Iterable[int], patience_s: float = _STOP_S) -> None:
        running = running_nodes(self.folder)
        end([running[number] for number in numbers if number in running], patience_s)

    def _check_room(self, brokers: int) -> None:
        memory = free_memory_mib()
        if memory is not None and memory < brokers * _MEMORY_MIB:
            raise ClusterError(
                f"not enough memory: {brokers} brokers take about {brokers * _MEMORY_MIB} MiB, "
                f"and {memory} MiB are free"
            )
        disk = shutil.disk_usage(self.folder).free // 2**20
        if disk < _DISK_MIB:
            raise ClusterError(
                f"not enough disk: {self.folder} has {disk} MiB free, Kafka wants {_DISK_MIB}"
            )


def _port_picker(first: Optional[int]) -> Callable[[], int]:
    """Ports from a named one on, or free ones; no port twice."""
    given: Set[int] = set()

    def pick() -> int:
        port = free_port() if first is None else first + len(given)
        while port in given:
            port = free_port()
        given.add(port)
        return port

    return pick


def _check_ports(node: Node) -> None:
    """Say which port is taken, before Kafka says it in a stack trace.

    Waits a little: a process that has just died may still hold its port.
    """
    for port in (node.broker_port, node.controller_port):
        if port is not None and not await_true(lambda p=port: port_is_free(p), _PORT_S):  # type: ignore[misc]
            raise ClusterError(
                f"port {port} of node {node.id} is taken by another program; end that one, "
                "or start a new cluster elsewhere: python -m kafka.cluster down --delete, "
                "then up --port N"
            )
