"""Watches the brokers: topics, partitions, leaders, lag, and the nodes of a local cluster."""

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
_STATUS_EVERY = 3  # every third snapshot reads the status of the local cluster again
_TIMEOUT_S = 3.0
_UNSETTLED = "a node has just started or stopped: the new state of the brokers is not known yet"


@dataclass(frozen=True)
class Brokers:
    """A snapshot of the brokers.

    Attributes:
        number: number of the snapshot, from 1; 0 before the first snapshot.
        topics: the input, output and dead-letter topics, in this order. After an error, they are
            those of the previous snapshot.
        cluster: nodes and weaknesses of the local cluster; None if the brokers do not belong to it,
            or if its state can't be read.
        error: reason why the brokers could not be read; empty if they were read.
        since_s: time at which the error began, in seconds since 1970; 0 without an error.
    """

    number: int = 0
    topics: tuple[TopicReport, ...] = ()
    cluster: Status | None = None
    error: str = ""
    since_s: float = 0.0

    @property
    def lag(self) -> int | None:
        """Lag of the group in the input topic, in messages; None if unknown."""
        if self.error or not self.topics or self.topics[0].partitions is None:
            return None
        return sum(each.behind for each in self.topics[0].partitions)


class BrokerWatch:
    """A thread that reads the state of the brokers.

    Args:
        settings: topics, group and brokers.

    Attributes:
        view: the latest snapshot.
    """

    def __init__(self, settings: Settings) -> None:
        self.view = Brokers()
        self._settings = settings
        self._names = (settings.input_topic, settings.output_topic, settings.dead_letter_topic)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="brokers", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Asks the thread to stop, and does not wait for its requests to brokers."""
        self._closing.set()

    def check_nodes(self) -> None:
        """Updates `view` if a node of the local cluster has started or stopped.

        The method sends no request, because brokers may take long to answer after such a change.
        The weaknesses are marked as unknown until the next snapshot reads them.
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
                self.check_nodes()
                self._take_snapshot(consumer)
            except Exception:
                # The thread must not end, because the next snapshot may succeed.
                log.exception("the state of the brokers can't be read")
            self._closing.wait(_EVERY_S)
        consumer.close()

    def _take_snapshot(self, consumer: Consumer) -> None:
        before = self.view
        view = self._read(consumer, before)
        with self._lock:
            if self.view.cluster is not before.cluster:
                # `check_nodes` has found that a node started or stopped during the requests.
                view = replace(view, cluster=self.view.cluster)
            self.view = replace(view, number=self.view.number + 1)

    def _read(self, consumer: Consumer, before: Brokers) -> Brokers:
        number = before.number + 1
        # The status of the local cluster is read even if no broker answers: its processes show
        # which nodes run.
        cluster = before.cluster
        unsettled = cluster is not None and cluster.weaknesses == (_UNSETTLED,)
        if number % _STATUS_EVERY == 1 or before.error or unsettled:
            cluster = local_status(self._settings)
        failure = "no broker answers"
        try:
            consumer.list_topics(timeout=_TIMEOUT_S)
            # Without the right to describe the group, the client looks for the coordinator until
            # the time-out, so its error does not name the missing right.
            failure = (
                f"the offsets of group {self._settings.group_id} can't be read; this needs the "
                f"group's coordinator, and the right {DESCRIBE} on the group"
            )
            topics = tuple(report(consumer, self._names))
        except KafkaException as error:
            since_s = before.since_s if before.error else time.time()
            why = f"{failure}: {error.args[0].str()}"
            return Brokers(number, before.topics, cluster, why, since_s)
        return Brokers(number, topics, cluster)


def local_status(settings: Settings) -> Status | None:
    """Returns the state of the local cluster.

    Returns:
        The state; None if the brokers of the settings do not belong to the local cluster, or if its
        state can't be read.
    """
    folder = cluster_folder()
    try:
        state = load_state(folder)
        if state is None:
            return None
        addresses = {node.address for node in state.nodes}
        if not addresses & set(settings.broker.split(",")):
            return None
        return Cluster(folder).status()
    except (ClusterError, KafkaException):
        return None


def add_broker() -> Action:
    """Returns the action that adds a broker to the local cluster and moves partitions to it."""
    return Program(["kafka.cluster", "add"]).action


def kill_broker(node: int) -> Action:
    """Returns the action that kills a broker of the local cluster with SIGKILL."""
    return Program(["kafka.cluster", "kill", str(node)]).action


def start_dead_brokers() -> Action:
    """Returns the action that starts the dead nodes of the local cluster."""
    return Program(["kafka.cluster", "up"]).action
