"""The context of a run: brokers, topics, replicas, load, and their state."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from kafka.cluster.local import Cluster
from seldon_kafka.config.clients import admin_config, consumer_config
from seldon_kafka.config.settings import Settings, load_settings
from seldon_kafka.topics.manage import await_usable
from tests.faults.link import Link
from tests.faults.load import Load
from tests.faults.monitor import Monitor
from tests.faults.replica import Replica
from tests.support.patience import patient

PARTITIONS = 6
LOCAL, REMOTE = "a", "b"
"""The two replicas that always run; the second one is behind the link, if there is one."""

_REQUEST_S = 5.0
_STABLE_S = 1.5
# Time for a backlog to drain under the load after a fault.
_BACKLOG_S = 20.0
_POLL_S = 0.05


class NotRecovered(Exception):
    """The stream did not recover after a fault; the message describes its state."""


class Interrupted(Exception):
    """The run is ending, and so must the injections."""


class RunContext:
    """The brokers, topics, replicas and load of one run.

    Args:
        environ: variables with the connection to the brokers.
        name: name of the topics and the group; unique.
        folder: folder for logs, state, and the files that control the user models.
        cluster: the run's own brokers; None for those of a user.
        link: the link to the second replica's namespace, if there is one.
        seed: seed of everything random.

    Attributes:
        environ: settings of the replicas, as variables.
        settings: the same settings.
        folder: folder for logs, state, and the files that control the user models.
        cluster: the run's own brokers; None for those of a user.
        link: the link to the second replica's namespace, if there is one.
        random: random numbers of the run, from its seed.
        replicas: the replicas by name.
        closing: set once the run is ending; waits then raise `Interrupted`.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        name: str,
        folder: Path,
        cluster: Cluster | None,
        link: Link | None,
        seed: int,
    ) -> None:
        self.folder = folder
        self.cluster = cluster
        self.link = link
        self.random = random.Random(seed)
        self.environ = {
            **environ,
            "KAFKA_INPUT_TOPIC": f"{name}-input",
            "KAFKA_OUTPUT_TOPIC": f"{name}-output",
            "KAFKA_DEAD_LETTER_TOPIC": f"{name}-dead",
            "KAFKA_GROUP_ID": name,
            "KAFKA_STATE_DIR": str(folder / "state"),
            # A short limit, so that a hang ends soon and a run has time for many faults.
            "KAFKA_PREDICT_TIMEOUT_S": "4",
        }
        self.settings: Settings = load_settings(self.environ)
        self.admin: Any = AdminClient(quiet(admin_config(self.settings)))
        self._group: Any = Consumer(quiet(consumer_config(self.settings, name)))
        self.replication = min(3, len(self.admin.list_topics(timeout=_REQUEST_S).brokers))
        self.replicas: dict[str, Replica] = {}
        self.closing = threading.Event()
        self.load = Load(self.settings, self.closing)
        self.monitor = Monitor(self.settings)

    def make_topics(self) -> None:
        """Creates the input, output and dead-letter topic, with unlimited retention."""
        names = topics_of(self.settings)
        make_topics(self.admin, names, PARTITIONS, self.replication)

    def delete_topics(self) -> None:
        """Deletes the topics of this run that exist."""
        delete_topics(self.admin, topics_of(self.settings))

    def sleep(self, seconds: float) -> None:
        """Waits.

        Raises:
            Interrupted: the run is ending.
        """
        if self.closing.wait(seconds):
            raise Interrupted("interrupted")

    def wait_for(self, condition: Callable[[], Any], within_s: float, what: str) -> Any:
        """Waits until a condition is true, and returns its result.

        Args:
            condition: called repeatedly.
            within_s: time limit in seconds on a fast machine; see `patient`.
            what: description of the condition, for the error.

        Raises:
            NotRecovered: the condition is not true in time.
            Interrupted: the run is ending.
        """
        within_s = patient(within_s)
        give_up_at = time.monotonic() + within_s
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > give_up_at:
                raise NotRecovered(f"not within {within_s:.0f} s: {what}")
            self.sleep(_POLL_S)

    def end(self) -> None:
        """Kills the replicas, and stops the load and the monitor."""
        self.closing.set()
        for replica in self.running():
            replica.kill()
        self.load.stop()
        self.monitor.stop()

    def replica(self, name: str) -> Replica:
        """Returns the replica of this name; a new one is not started."""
        if name not in self.replicas:
            command: tuple[str, ...] = ()
            host = "127.0.0.1"
            if name == REMOTE and self.link is not None:
                command, host = ("ip", "netns", "exec", self.link.namespace), self.link.there
            self.replicas[name] = Replica(name, self.environ, self.folder, command, host)
        return self.replicas[name]

    def running(self) -> list[Replica]:
        """Returns the replicas that are running."""
        return [replica for replica in self.replicas.values() if replica.runs]

    def start(self, *names: str, within_s: float = 120) -> None:
        """Starts replicas and waits until they are ready.

        Raises:
            NotRecovered: a replica is not ready in time.
            Interrupted: the run is ending.
        """
        for name in names:
            self.replica(name).start()
        for name in names:
            self.wait_for(self.replica(name).is_ready, within_s, f"replica {name} is ready")

    def lag(self) -> int | None:
        """Returns the group's lag, transaction markers included; None without an answer."""
        positions = self.positions_or_none()
        if positions is None:
            return None
        committed, ends = positions
        return sum(end - committed.get(partition, 0) for partition, end in ends.items())

    def positions_or_none(self) -> tuple[dict[int, int], dict[int, int]] | None:
        """Returns `positions`, or None if the brokers do not answer."""
        try:
            return self.positions()
        except KafkaException:
            return None

    def positions(self) -> tuple[dict[int, int], dict[int, int]]:
        """Returns the committed offset and the end offset of each input partition.

        Raises:
            KafkaException: the brokers do not answer.
        """
        topic = self.settings.input_topic
        count = len(self._group.list_topics(topic, timeout=_REQUEST_S).topics[topic].partitions)
        partitions = [TopicPartition(topic, number) for number in range(count)]
        committed, ends = {}, {}
        for found in self._group.committed(partitions, timeout=_REQUEST_S):
            if found.error is not None:
                raise KafkaException(found.error)
            committed[found.partition] = max(0, found.offset)
            _, ends[found.partition] = self._group.get_watermark_offsets(found, timeout=_REQUEST_S)
        return committed, ends

    def wait_for_recovery(self, within_s: float = 480) -> None:
        """Waits until all replicas are ready and the lag is at most a second of the load.

        Both must hold for a while, because a fault takes time to have an effect. If a backlog
        stays, the load pauses: a shared machine may be slower than it was measured, and under the
        load the backlog would never drain.

        Raises:
            NotRecovered: the stream did not recover in time.
            Interrupted: the run is ending.
        """
        give_up_at = time.monotonic() + within_s
        limit = max(1000.0, self.load.rate)
        good_since: float | None = None
        rest_at = time.monotonic() + _BACKLOG_S
        while True:
            lag = self.lag()
            if lag is not None and lag <= limit:
                self.load.resume()
            elif lag is not None and time.monotonic() > rest_at:
                self.load.stop()
            unready = [replica.name for replica in self.running() if not replica.is_ready()]
            if unready or lag is None or lag > limit:
                good_since = None
            else:
                good_since = good_since or time.monotonic()
                if time.monotonic() - good_since > _STABLE_S:
                    return
            if time.monotonic() > give_up_at:
                why = "; ".join(
                    f"{n}: {self.replicas[n].ask('/ready')[1].strip()}" for n in unready
                )
                raise NotRecovered(f"after {within_s:.0f} s the lag is {lag}; {why or 'all ready'}")
            self.sleep(0.2)

    def wait_for_in_sync_replicas(self, within_s: float = 60) -> None:
        """Waits until every replica of every partition is in sync.

        Raises:
            NotRecovered: a replica is not in sync in time.
            Interrupted: the run is ending.
        """

        def in_sync() -> bool:
            try:
                topics = self.admin.list_topics(timeout=_REQUEST_S).topics.values()
            except KafkaException:
                return False
            partitions = [part for topic in topics for part in topic.partitions.values()]
            return all(
                part.leader >= 0 and len(part.isrs) >= len(part.replicas) for part in partitions
            )

        self.wait_for(in_sync, within_s, "all replicas of all partitions are in sync")

    def own_cluster(self) -> Cluster:
        """Returns the run's own brokers, which it may break."""
        assert self.cluster is not None
        return self.cluster


def topics_of(settings: Settings) -> tuple[str, str, str]:
    """Returns the names of the input, output and dead-letter topic."""
    return settings.input_topic, settings.output_topic, settings.dead_letter_topic


def make_topics(admin: Any, names: Sequence[str], partitions: int, replication: int) -> None:
    """Creates topics with unlimited retention, and waits until they can be used."""
    config = {
        "retention.ms": "-1",
        "max.message.bytes": str(9 * 1024 * 1024),
        "min.insync.replicas": "2" if replication >= 3 else "1",
    }
    new = [NewTopic(name, partitions, replication, config=config) for name in names]
    for future in admin.create_topics(new).values():
        future.result()
    await_usable(admin, names, partitions)


def delete_topics(admin: Any, names: Sequence[str]) -> None:
    """Deletes the topics that exist among these."""
    known = admin.list_topics(timeout=_REQUEST_S).topics
    present = [name for name in names if name in known]
    if present:
        for future in admin.delete_topics(present).values():
            future.result()


def set_config(admin: Any, topic: str, name: str, value: str) -> None:
    """Sets one property of a topic."""
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result()


def quiet(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a client's configuration without logs, because errors of brokers are expected."""
    return {**{k: v for k, v in config.items() if k != "logger"}, "log_level": 0}
