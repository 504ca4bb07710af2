"""Looks at the brokers: topics, partitions, leaders, lag, and the nodes of a local cluster."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace

from confluent_kafka import Consumer, KafkaException

from consumer.dashboard.console import Program
from consumer.dashboard.fleet import Action
from kafka.cluster.address import cluster_folder, running_nodes
from kafka.cluster.local import Cluster
from kafka.cluster.state import ClusterError, load_state
from kafka.cluster.status import Status
from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.rights import DESCRIBE
from seldon_kafka.config.settings import Settings
from seldon_kafka.topics.report import TopicReport, report

log = logging.getLogger("consumer.dashboard")

_EVERY_S = 2.0
_STATUS_EVERY = 3
_ANSWER_S = 3.0
_UNSETTLED = "a node has just come or gone: the brokers are being asked what holds now"


@dataclass(frozen=True)
class Brokers:
    """One look at the brokers.

    Attributes:
        number: Counts looks.
        topics: Theirs and ours: input, output, dead letters.
        cluster: The local cluster's nodes and weaknesses, if the brokers are its.
        trouble: Why nothing is known, or nothing.
        since_s: Since when there is trouble, in seconds since 1970.
    """

    number: int = 0
    topics: tuple[TopicReport, ...] = ()
    cluster: Status | None = None
    trouble: str = ""
    since_s: float = 0.0

    @property
    def lag(self) -> int | None:
        """Messages that the group is behind in the input topic; None if nobody says."""
        if self.trouble or not self.topics or self.topics[0].partitions is None:
            return None
        return sum(each.behind for each in self.topics[0].partitions)


class BrokerWatch:
    """A thread that looks.

    Attributes:
        view: What it found last.
    """

    def __init__(self, settings: Settings) -> None:
        """Prepare to look.

        Args:
            settings: Topics, group and brokers.
        """
        self.view = Brokers()
        self._settings = settings
        self._names = (settings.input_topic, settings.output_topic, settings.dead_letter_topic)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="brokers", daemon=True)

    def start(self) -> None:
        """Start to look."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking; a look that waits for brokers is not waited for."""
        self._closing.set()

    def notice(self) -> None:
        """Says at once in `view` if a node has come or gone.

        Brokers that miss one of them may take long to answer, and what was known of their
        safety holds no more.
        """
        with self._lock:
            view = self.view
            if view.cluster is None:
                return
            running = running_nodes(cluster_folder())
            if {each.id for each in view.cluster.nodes if each.pid is not None} == set(running):
                return
            nodes = tuple(replace(each, pid=running.get(each.id)) for each in view.cluster.nodes)
            cluster = replace(view.cluster, nodes=nodes, weaknesses=(_UNSETTLED,))
            self.view = replace(view, number=view.number + 1, cluster=cluster)

    def _run(self) -> None:
        config = consumer_config(self._settings, self._settings.group_id)
        consumer = Consumer(config)
        while not self._closing.is_set():
            try:
                self.notice()
                self._look(consumer)
            except Exception:
                # Whatever it is, the next look may do better; without one all would stand still.
                log.exception("the brokers can't be looked at")
            self._closing.wait(_EVERY_S)
        consumer.close()

    def _look(self, consumer: Consumer) -> None:
        before = self.view
        view = self._found(consumer, before)
        with self._lock:
            if self.view.cluster is not before.cluster:
                # A node has come or gone meanwhile.
                view = replace(view, cluster=self.view.cluster)
            self.view = replace(view, number=self.view.number + 1)

    def _found(self, consumer: Consumer, before: Brokers) -> Brokers:
        number = before.number + 1
        # The nodes are told by processes, and known even when no broker answers.
        cluster = before.cluster
        unsettled = cluster is not None and cluster.weaknesses == (_UNSETTLED,)
        if number % _STATUS_EVERY == 1 or before.trouble or unsettled:
            cluster = local_status(self._settings)
        asked = "no broker answers"
        try:
            consumer.list_topics(timeout=_ANSWER_S)
            # The client asks on and on for a coordinator that it may not know.
            asked = (
                f"the offsets of group {self._settings.group_id} are not told, which takes its "
                f"coordinator, and {DESCRIBE} on it"
            )
            topics = tuple(report(consumer, self._names))
        except KafkaException as error:
            since_s = before.since_s if before.trouble else time.time()
            why = f"{asked}: {error.args[0].str()}"
            return Brokers(number, before.topics, cluster, why, since_s)
        return Brokers(number, topics, cluster)


def local_status(settings: Settings) -> Status | None:
    """The state of the local cluster; None if the brokers are not its."""
    folder = cluster_folder()
    try:
        state = load_state(folder)
        if state is None:
            return None
        ours = {node.address for node in state.nodes}
        if not ours & set(settings.broker.split(",")):
            return None
        return Cluster(folder).status()
    except (ClusterError, KafkaException):
        return None


def add_broker() -> Action:
    """Adds a broker to the local cluster, and spreads partitions over it."""
    return Program(["kafka.cluster", "add"]).action


def kill_broker(node: int) -> Action:
    """Ends a broker of the local cluster as a power cut would."""
    return Program(["kafka.cluster", "kill", str(node)]).action


def mend_brokers() -> Action:
    """Starts what is dead of the local cluster."""
    return Program(["kafka.cluster", "up"]).action
