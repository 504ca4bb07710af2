"""The local cluster: start it, grow it, break it, end it."""

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
from kafka.cluster.start import await_ready, check_room, port_picker, start_nodes
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

    Nothing about what runs is kept in the object: every question asks the
    folder and the process table, so that several objects, and several
    processes, may hold the same cluster.

    As a context manager it ends the cluster on leaving, and keeps its data.

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
        """Start a cluster, or what is missing of it, and wait until it answers.

        Args:
            folder: Where it keeps everything.
            brokers: How many there shall be; None takes as many as there were, or one.
                More than there are adds some; fewer changes nothing.
            port: Where the first broker listens when the cluster is new, and the
                next ones behind it; None picks free ones.
            progress: Told what happens.
            security: ``plaintext``, ``ssl`` (clients have certificates),
                ``sasl_plaintext`` or ``sasl_ssl`` (they have a password); None takes
                what it was, or ``plaintext``.
            host: This machine's address at which the brokers of a new cluster listen;
                None takes 127.0.0.1.

        Raises:
            ClusterError: It cannot; what this call started has been ended again.
        """
        cluster = cls(folder, progress)
        with exclusive(cluster.folder, cluster._progress.say):
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
        return self.state.bootstrap

    def client_environment(self) -> dict[str, str]:
        """The ``KAFKA_…`` variables that a client needs, the password among them.

        Raises:
            ClusterError: The folder holds no cluster, or its credentials are gone.
        """
        return client_environment(self.folder, self.state)

    def user(self, name: str, rights: Sequence[Right] = ()) -> dict[str, str]:
        """Make a user of a secured cluster, or find it, and let it do these things.

        Returns:
            The ``KAFKA_…`` variables that its programs need, the password among them.

        Raises:
            ClusterError: The cluster is not secured, or does not run.
        """
        with exclusive(self.folder, self._progress.say):
            environment = make_user(self.folder, self.state, name)
            if rights:
                grant(self.folder, self.state, name, rights)
        return environment

    def revoke(self, name: str, rights: Sequence[Right]) -> None:
        """Take rights back that a user was given.

        Raises:
            ClusterError: The cluster does not run.
        """
        revoke(self.folder, self.state, name, rights)

    def alive(self) -> list[int]:
        """The nodes that have a live process, in order."""
        return sorted(running_nodes(self.folder))

    def status(self) -> Status:
        """What runs, and whether a broker's death would be survived.

        Raises:
            ClusterError: The folder holds no cluster.
        """
        return cluster_status(self.folder, self.state)

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
            self._start(state, [node], get_distribution(self.folder, self._progress))

    def controller(self) -> int:
        """The node that leads the quorum of controllers now.

        Raises:
            ClusterError: Nobody does, or nobody says.
        """
        return active_controller(
            self.folder, self.state, get_distribution(self.folder, self._progress)
        )

    def move(self, placements: Sequence[Placement]) -> None:
        """Put partitions on other brokers, each led by the first that is named for it.

        Raises:
            ClusterError: Kafka refused, or the copies did not catch up in two minutes.
        """
        with exclusive(self.folder, self._progress.say):
            kafka = get_distribution(self.folder, self._progress)
            move(self.folder, self.state, kafka, placements)

    def down(self, delete: bool = False) -> list[int]:
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

    def _up(
        self,
        brokers: int | None,
        port: int | None,
        security: str | None = None,
        host: str | None = None,
    ) -> None:
        before = self._known(security)
        had = len(before.nodes)
        wanted = max(brokers or 1, had)
        if brokers is not None and brokers < had:
            self._progress.say(
                f"this cluster has {had} brokers and keeps them; `down --delete` starts afresh"
            )
        if port is not None and had:
            self._progress.say("this cluster keeps its ports; --port is for a new one")
            port = None
        state = before.grown(wanted, port_picker(port), host or HOST)
        running = running_nodes(self.folder)
        missing = [node for node in state.nodes if node.id not in running]
        check_room(self.folder, len(missing))
        kafka = get_distribution(self.folder, self._progress)
        if not had:
            self._found(state, kafka)
            return
        save_state(self.folder, state)
        self._start(state, missing, kafka)
        # Told by its files, so that a growth that was cut short is gone on with.
        old = [n for n in state.nodes if configured_roles(self.folder, n) != n.roles]
        for node in old:
            self._stop([node.id])
            self._start(state, [node], kafka)
        await_ready(self.folder, state, running_nodes(self.folder), self._progress)
        if wanted > 1 and (missing or old):
            self._spread(state, kafka)

    def _known(self, security: str | None) -> ClusterState:
        """What there is, or a cluster without nodes."""
        known = load_state(self.folder)
        if known is None:
            return ClusterState(cluster_id=random_id(), security=security or PLAINTEXT)
        if security not in (None, known.security):
            raise ClusterError(
                f"this cluster is {known.security} and stays so; "
                f"`python -m kafka.cluster down --delete` first, then `up --security {security}`"
            )
        return known

    def _found(self, state: ClusterState, kafka: Distribution) -> None:
        make_credentials(self.folder, state.security, state.nodes[0].host)
        save_state(self.folder, state)
        try:
            self._start(state, state.nodes, kafka)
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
        if len(state.controllers) > 1:
            await_voters(self.folder, state, kafka)
        spread(self.folder, state, kafka)

    def _start(self, state: ClusterState, wanted: Sequence[Node], kafka: Distribution) -> None:
        if wanted:
            start_nodes(self.folder, state, wanted, kafka, self._progress)

    def _stop(self, numbers: Iterable[int], patience_s: float = _STOP_S) -> None:
        running = running_nodes(self.folder)
        end([running[number] for number in numbers if number in running], patience_s)
