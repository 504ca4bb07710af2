"""Starts, extends and stops the local cluster, and kills its brokers."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from kafka.cluster.address import HOST, PLAINTEXT, STATE_FILE, cluster_folder, running_nodes
from kafka.cluster.distribution import Distribution, get_distribution
from kafka.cluster.node import configured_roles
from kafka.cluster.placement import Placement
from kafka.cluster.process import end, exclusive
from kafka.cluster.progress import Progress
from kafka.cluster.replication import active_controller, await_voters, move, spread
from kafka.cluster.security import client_environment, make_credentials
from kafka.cluster.start import await_ready, check_resources, port_picker, start_nodes
from kafka.cluster.state import (
    ClusterError,
    ClusterState,
    Node,
    load_state,
    random_id,
    save_state,
)
from kafka.cluster.status import Status, cluster_status
from kafka.cluster.users import grant, make_user, revoke
from seldon_kafka.config.rights import Right

_STOP_S = 10.0


class Cluster:
    """Apache Kafka in a folder of this machine.

    The object does not store which processes run. Each method reads the folder and the process
    table. So several objects and processes may use the same cluster.

    Leaving the context stops the cluster, and keeps its data.

    Args:
        folder: folder of the cluster.
        progress: shows the steps; by default nothing is shown.

    Example:
        >>> with Cluster.start(folder, brokers=3) as cluster:  # doctest: +SKIP
        ...     cluster.kill(2)
        ...     cluster.restart(2)
    """

    def __init__(self, folder: Path, progress: Progress | None = None) -> None:
        self.folder = cluster_folder(folder)
        self._progress = progress or Progress()

    @classmethod
    def start(
        cls,
        folder: Path,
        brokers: int | None = None,
        port: int | None = None,
        progress: Progress | None = None,
        security: str | None = None,
        host: str | None = None,
    ) -> Cluster:
        """Starts a cluster, or its missing brokers, and waits until all brokers are ready.

        Args:
            folder: folder of the cluster.
            brokers: number of brokers; None keeps the number, which is 1 for a new cluster. A
                greater number adds brokers, and a smaller number changes nothing.
            port: first of the consecutive ports of a new cluster; None picks free ports.
            progress: shows the steps; by default nothing is shown.
            security: `plaintext`, `ssl` (clients have certificates), `sasl_plaintext` or `sasl_ssl`
                (clients have a password); None keeps the protocol, which is `plaintext` for a new
                cluster.
            host: address of this machine that the brokers of a new cluster listen on; None takes
                127.0.0.1.

        Raises:
            ClusterError: the start failed. If a node did not start, all nodes that were started
                together with it are killed. If the nodes are ready, but the partitions could not be
                spread over them, the nodes keep running.
        """
        cluster = cls(folder, progress)
        with exclusive(cluster.folder, cluster._progress.message):
            cluster._up(brokers, port, security, host)
        return cluster

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    @property
    def state(self) -> ClusterState:
        """The state in the folder: the id, the nodes and the security protocol of the cluster.

        Raises:
            ClusterError: the folder has no cluster.
        """
        state = load_state(self.folder)
        if state is None:
            raise ClusterError("there is no local cluster; start one: python -m kafka.cluster up")
        return state

    @property
    def bootstrap(self) -> str:
        """`host:port` of each broker, dead ones included, joined by commas."""
        return self.state.bootstrap

    def client_environment(self) -> dict[str, str]:
        """Returns the `KAFKA_…` variables for clients of the operator, the password included.

        Raises:
            ClusterError: the folder has no cluster, or the credentials cannot be read.
        """
        return client_environment(self.folder, self.state)

    def user(self, name: str, rights: Sequence[Right] = ()) -> dict[str, str]:
        """Creates a user of a secured cluster if it is new, and grants rights to the user.

        Returns:
            The `KAFKA_…` variables for clients of the user, the password included.

        Raises:
            ClusterError: the name is not valid, the cluster is not secured, or the brokers refuse
                the change or do not answer.
        """
        with exclusive(self.folder, self._progress.message):
            environment = make_user(self.folder, self.state, name)
            if rights:
                grant(self.folder, self.state, name, rights)
        return environment

    def revoke(self, name: str, rights: Sequence[Right]) -> None:
        """Revokes rights of a user.

        Raises:
            ClusterError: the brokers refuse the change or do not answer.
        """
        revoke(self.folder, self.state, name, rights)

    def alive(self) -> list[int]:
        """Returns the ids of the nodes that run, in order."""
        return sorted(running_nodes(self.folder))

    def status(self) -> Status:
        """Returns the state of the nodes, and whether the cluster tolerates a broker's failure.

        Raises:
            ClusterError: the folder has no cluster.
        """
        return cluster_status(self.folder, self.state)

    def add(self) -> Node:
        """Adds one broker, moves its share of the partitions to it, and returns its node.

        Nodes that are dead are started too.

        The replication factor of each topic rises to the number of brokers, at most three. This
        includes internal topics.

        Raises:
            ClusterError: a node did not start, or the partitions could not be moved.
        """
        with exclusive(self.folder, self._progress.message):
            self._up(len(self.state.nodes) + 1, None)
        return self.state.nodes[-1]

    def kill(self, number: int) -> None:
        """Kills a node with SIGKILL.

        Raises:
            ClusterError: there is no such node, or it does not run.
        """
        with exclusive(self.folder, self._progress.message):
            self.state.node(number)
            pid = running_nodes(self.folder).get(number)
            if pid is None:
                raise ClusterError(f"node {number} is not running")
            end([pid], timeout_s=0)

    def restart(self, number: int) -> None:
        """Stops a node if it runs, starts it, and waits until it is ready.

        Raises:
            ClusterError: there is no such node, or it did not start.
        """
        with exclusive(self.folder, self._progress.message):
            state = self.state
            node = state.node(number)
            self._stop([number])
            self._start(state, [node], get_distribution(self.folder, self._progress))

    def controller(self) -> int:
        """Returns the node id of the active controller.

        Raises:
            ClusterError: there is no active controller, or no broker answers.
        """
        return active_controller(
            self.folder, self.state, get_distribution(self.folder, self._progress)
        )

    def move(self, placements: Sequence[Placement]) -> None:
        """Moves partitions to other brokers, and makes the first replica of each its leader.

        Raises:
            ClusterError: Kafka's tool failed, or the replicas were not in sync within two minutes.
        """
        with exclusive(self.folder, self._progress.message):
            kafka = get_distribution(self.folder, self._progress)
            move(self.folder, self.state, kafka, placements)

    def down(self, delete: bool = False) -> list[int]:
        """Stops all nodes, and returns the ids of the nodes that ran.

        Args:
            delete: whether to delete all data, logs and the state of the cluster. The nodes are
                then killed, because nothing needs to be saved.
        """
        if not self.folder.exists():
            return []
        with exclusive(self.folder, self._progress.message):
            running = self.alive()
            self._progress.begin(f"Stopping {len(running)} nodes of {self.folder}")
            self._stop(running, timeout_s=0 if delete else _STOP_S)
            if delete:
                self._delete()
        return running

    def _up(
        self,
        brokers: int | None,
        port: int | None,
        security: str | None = None,
        host: str | None = None,
    ) -> None:
        before = self._recorded_state(security)
        existing = len(before.nodes)
        wanted = max(brokers or 1, existing)
        if brokers is not None and brokers < existing:
            self._progress.message(
                f"this cluster keeps its {existing} brokers; "
                "`down --delete` deletes them and their records"
            )
        if port is not None and existing:
            self._progress.message("this cluster keeps its ports; --port is for a new cluster")
            port = None
        state = before.with_brokers(wanted, port_picker(port), host or HOST)
        running = running_nodes(self.folder)
        missing = [node for node in state.nodes if node.id not in running]
        check_resources(self.folder, len(missing))
        kafka = get_distribution(self.folder, self._progress)
        if not existing:
            self._create(state, kafka)
            return
        save_state(self.folder, state)
        self._start(state, missing, kafka)
        # A node whose configuration file has other roles than the state must be restarted. The
        # files, unlike the previous state, also show this after an interrupted start.
        changed = [n for n in state.nodes if configured_roles(self.folder, n) != n.roles]
        for node in changed:
            self._stop([node.id])
            self._start(state, [node], kafka)
        await_ready(self.folder, state, running_nodes(self.folder), self._progress)
        if wanted > 1 and (missing or changed):
            self._spread(state, kafka)

    def _recorded_state(self, security: str | None) -> ClusterState:
        """Returns the state in the folder, or a new state without nodes.

        Raises:
            ClusterError: the existing cluster has another security protocol than `security`.
        """
        recorded = load_state(self.folder)
        if recorded is None:
            return ClusterState(cluster_id=random_id(), security=security or PLAINTEXT)
        if security not in (None, recorded.security):
            raise ClusterError(
                f"this cluster keeps its security protocol, {recorded.security}; "
                f"`python -m kafka.cluster down --delete` first, then `up --security {security}`"
            )
        return recorded

    def _create(self, state: ClusterState, kafka: Distribution) -> None:
        make_credentials(self.folder, state.security, state.nodes[0].host)
        save_state(self.folder, state)
        try:
            self._start(state, state.nodes, kafka)
        except BaseException:
            # The cluster has no data yet. After the deletion, the next start may pick other ports.
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
        if len(state.controllers) > 1:
            await_voters(self.folder, state, kafka)
        spread(self.folder, state, kafka)

    def _start(self, state: ClusterState, wanted: Sequence[Node], kafka: Distribution) -> None:
        if wanted:
            start_nodes(self.folder, state, wanted, kafka, self._progress)

    def _stop(self, numbers: Iterable[int], timeout_s: float = _STOP_S) -> None:
        running = running_nodes(self.folder)
        end([running[number] for number in numbers if number in running], timeout_s)
