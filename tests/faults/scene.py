"""Where a run takes place: brokers, topics, replicas, load, and how they fare."""

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
from tests.faults.fleet import Replica
from tests.faults.link import Link
from tests.faults.load import Load
from tests.faults.monitor import Monitor
from tests.support.patience import patient

PARTITIONS = 6
LOCAL, REMOTE = "a", "b"
"""The two replicas that always run; the second one is behind the line, if there is one."""

_ASK_S = 5.0
_ON_END_S = 1.5
# After a fault, how long a backlog has to go under the load.
_PATIENCE_S = 20.0
_LOOK_S = 0.05


class NotRecovered(Exception):
    """The stream did not come back to its feet after a fault; the message says how it stands."""


class Interrupted(Exception):
    """The run is being ended, and so is what is under way of it."""


class Scene:
    """One run's brokers, topics, replicas and load.

    Attributes:
        environ: settings of the replicas.
        settings: the same, read.
        folder: logs, state, and the files that steer the class.
        cluster: our own brokers; None for somebody else's.
        link: the line to the second replica's namespace, if there is one.
        random: seeded; everything left to chance is drawn from it.
        fleet: the replicas by name.
        closing: set once the run is being ended; whoever waits then gets `Interrupted`.

    Args:
        environ: where the brokers are, and how to reach them.
        name: of topics and group; unique.
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
            # A hang is found in seconds, so that a run has time for many.
            "KAFKA_PREDICT_TIMEOUT_S": "4",
        }
        self.settings: Settings = load_settings(self.environ)
        self.admin: Any = AdminClient(quiet(admin_config(self.settings)))
        self._group: Any = Consumer(quiet(consumer_config(self.settings, name)))
        self.replication = min(3, len(self.admin.list_topics(timeout=_ASK_S).brokers))
        self.fleet: dict[str, Replica] = {}
        self.closing = threading.Event()
        self.load = Load(self.settings, self.closing)
        self.monitor = Monitor(self.settings)

    def make_topics(self) -> None:
        """Makes the input, output and dead-letter topic, which keep all that is sent."""
        names = topics_of(self.settings)
        make_topics(self.admin, names, PARTITIONS, self.replication)

    def delete_topics(self) -> None:
        """Deletes the topics of this run that there are."""
        delete_topics(self.admin, topics_of(self.settings))

    def sleep(self, seconds: float) -> None:
        """Waits.

        Raises:
            Interrupted: the run is being ended.
        """
        if self.closing.wait(seconds):
            raise Interrupted("interrupted")

    def wait_for(self, condition: Callable[[], Any], within_s: float, what: str) -> Any:
        """Waits for a condition to become true, and returns what it returned.

        Args:
            within_s: a limit against hanging, for a quick machine; see `patient`.

        Raises:
            NotRecovered: it does not in time.
            Interrupted: the run is being ended.
        """
        within_s = patient(within_s)
        give_up_at = time.monotonic() + within_s
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > give_up_at:
                raise NotRecovered(f"not within {within_s:.0f} s: {what}")
            self.sleep(_LOOK_S)

    def end(self) -> None:
        """Ends what of it still runs: replicas at once, then the load and the monitor."""
        self.closing.set()
        for replica in self.running():
            replica.kill()
        self.load.stop()
        self.monitor.stop()

    def replica(self, name: str) -> Replica:
        """The replica of this name, made if need be, not started."""
        if name not in self.fleet:
            command: tuple[str, ...] = ()
            host = "127.0.0.1"
            if name == REMOTE and self.link is not None:
                command, host = ("ip", "netns", "exec", self.link.namespace), self.link.there
            self.fleet[name] = Replica(name, self.environ, self.folder, command, host)
        return self.fleet[name]

    def running(self) -> list[Replica]:
        """The replicas that run."""
        return [replica for replica in self.fleet.values() if replica.runs]

    def start(self, *names: str, within_s: float = 120) -> None:
        """Starts replicas and waits until they are ready.

        Raises:
            NotRecovered: one is not ready in time.
            Interrupted: the run is being ended.
        """
        for name in names:
            self.replica(name).start()
        for name in names:
            self.wait_for(self.replica(name).is_ready, within_s, f"replica {name} is ready")

    def lag(self) -> int | None:
        """How far the group is behind, transaction markers included; None if nobody says."""
        positions = self.positions_if_told()
        if positions is None:
            return None
        committed, ends = positions
        return sum(end - committed.get(place, 0) for place, end in ends.items())

    def positions_if_told(self) -> tuple[dict[int, int], dict[int, int]] | None:
        """See `positions`; None if the brokers don't answer."""
        try:
            return self.positions()
        except KafkaException:
            return None

    def positions(self) -> tuple[dict[int, int], dict[int, int]]:
        """The group's offset in each partition of the input, and each partition's end.

        Raises:
            KafkaException: the brokers don't answer.
        """
        topic = self.settings.input_topic
        count = len(self._group.list_topics(topic, timeout=_ASK_S).topics[topic].partitions)
        places = [TopicPartition(topic, place) for place in range(count)]
        committed, ends = {}, {}
        for place in self._group.committed(places, timeout=_ASK_S):
            if place.error is not None:
                raise KafkaException(place.error)
            committed[place.partition] = max(0, place.offset)
            _, ends[place.partition] = self._group.get_watermark_offsets(place, timeout=_ASK_S)
        return committed, ends

    def recovered(self, within_s: float = 480) -> None:
        """Waits until all replicas are ready and the lag is no more than a second of the load.

        Both for a while on end: right after a fault nobody has noticed it yet. What is left over
        then goes while the load rests: what a shared machine does may have become less than was
        measured, and under the load it would never go.

        Raises:
            NotRecovered: they are not in time.
            Interrupted: the run is being ended.
        """
        give_up_at = time.monotonic() + within_s
        most = max(1000.0, self.load.rate)
        good_since: float | None = None
        rest_at = time.monotonic() + _PATIENCE_S
        while True:
            lag = self.lag()
            if lag is not None and lag <= most:
                self.load.go_on()
            elif lag is not None and time.monotonic() > rest_at:
                self.load.stop()
            unready = [replica.name for replica in self.running() if not replica.is_ready()]
            if unready or lag is None or lag > most:
                good_since = None
            else:
                good_since = good_since or time.monotonic()
                if time.monotonic() - good_since > _ON_END_S:
                    return
            if time.monotonic() > give_up_at:
                why = "; ".join(f"{n}: {self.fleet[n].ask('/ready')[1].strip()}" for n in unready)
                raise NotRecovered(f"after {within_s:.0f} s the lag is {lag}; {why or 'all ready'}")
            self.sleep(0.2)

    def brokers_whole(self, within_s: float = 60) -> None:
        """Waits until every replica of every partition is in sync.

        Raises:
            NotRecovered: one is not in time.
            Interrupted: the run is being ended.
        """

        def whole() -> bool:
            try:
                topics = self.admin.list_topics(timeout=_ASK_S).topics.values()
            except KafkaException:
                return False
            partitions = [part for topic in topics for part in topic.partitions.values()]
            return all(
                part.leader >= 0 and len(part.isrs) >= len(part.replicas) for part in partitions
            )

        self.wait_for(whole, within_s, "all replicas of all partitions are in sync")

    def ours(self) -> Cluster:
        """The brokers, which are ours to break."""
        assert self.cluster is not None
        return self.cluster


def topics_of(settings: Settings) -> tuple[str, str, str]:
    """The input, output and dead-letter topic."""
    return settings.input_topic, settings.output_topic, settings.dead_letter_topic


def make_topics(admin: Any, names: Sequence[str], partitions: int, replication: int) -> None:
    """Makes topics that keep everything, and waits until they can be used."""
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
    """Deletes those of these topics that there are."""
    there = admin.list_topics(timeout=_ASK_S).topics
    present = [name for name in names if name in there]
    if present:
        for future in admin.delete_topics(present).values():
            future.result()


def set_config(admin: Any, topic: str, name: str, value: str) -> None:
    """Sets one property of a topic."""
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result()


def quiet(config: dict[str, Any]) -> dict[str, Any]:
    """A client's configuration that does not log what a run does to its brokers on purpose."""
    return {**{k: v for k, v in config.items() if k != "logger"}, "log_level": 0}
