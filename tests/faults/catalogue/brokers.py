"""Brokers that die, leaders that move, topics that change or are missing."""

from __future__ import annotations

import subprocess
from pathlib import Path

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import NewPartitions

from kafka.cluster.local import Cluster
from kafka.cluster.placement import Placement
from kafka.cluster.state import QUORUM
from tests.faults.fault import Fault, NotSeen
from tests.faults.scene import Scene, set_config
from tests.faults.side import Side, side_stream

FOURTH = QUORUM + 1
"""The broker that is added while a run is under way; its data folder is a tmpfs, if it can be."""

_DOWN_S = 6.0
_MOST_PARTITIONS = 12


def _not_ours(scene: Scene) -> str | None:
    return None if scene.cluster is not None else "the brokers are not ours to break"


def _kill_broker(scene: Scene) -> str:
    cluster = scene.ours()
    controller = cluster.controller()
    return _kill(scene, scene.random.choice([n for n in (1, 2, 3) if n != controller]))


def _kill_controller(scene: Scene) -> str:
    return _kill(scene, scene.ours().controller())


def _kill(scene: Scene, node: int) -> str:
    cluster = scene.ours()
    cluster.kill(node)
    scene.sleep(_DOWN_S + scene.random.uniform(0, 6))
    cluster.restart(node)
    scene.brokers_whole()
    return f"node {node}"


def _restart(scene: Scene) -> str:
    node = scene.random.choice((1, 2, 3))
    scene.ours().restart(node)
    scene.brokers_whole()
    return f"node {node}"


def _stop_all(scene: Scene) -> str:
    cluster = scene.ours()
    cluster.down()
    scene.sleep(3)
    Cluster.start(cluster.folder)
    scene.brokers_whole()
    return "all of them at once"


def _placements(scene: Scene, topic: str) -> list[Placement]:
    partitions = scene.admin.list_topics(topic, timeout=10).topics[topic].partitions.values()
    return [Placement(topic, part.id, tuple(part.replicas)) for part in partitions]


def _move_leader(scene: Scene) -> str:
    topics = (scene.settings.input_topic, scene.settings.output_topic, "__transaction_state")
    moves = []
    for topic in topics:
        chosen = scene.random.choice(_placements(scene, topic))
        first, *rest = chosen.replicas
        moves.append(Placement(topic, chosen.partition, (*rest, first)))
    scene.ours().move(moves)
    return ", ".join(f"{move.topic}/{move.partition} to {move.replicas[0]}" for move in moves)


def _reassign(scene: Scene) -> str:
    cluster = scene.ours()
    if len(cluster.state.nodes) < FOURTH:
        add_fourth(scene)
        return "a fourth broker, given its share of all partitions"
    moves = []
    for topic in (scene.settings.input_topic, scene.settings.output_topic):
        chosen = scene.random.choice(_placements(scene, topic))
        others = [node for node in range(1, FOURTH + 1) if node not in chosen.replicas]
        gone = scene.random.randrange(len(chosen.replicas))
        replicas = list(chosen.replicas)
        replicas[gone] = others[0]
        moves.append(Placement(topic, chosen.partition, tuple(replicas)))
    cluster.move(moves)
    return ", ".join(f"{move.topic}/{move.partition} to {move.replicas}" for move in moves)


def add_fourth(scene: Scene) -> None:
    """Adds the fourth broker, on a disk of its own where one can be mounted."""
    cluster = scene.ours()
    home = fourth_home(cluster)
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(home)]
    subprocess.run(mount, stderr=subprocess.DEVNULL, check=False)
    cluster.add()


def unmount_fourth(cluster: Cluster) -> None:
    """Gives the disk of the fourth broker back, if there is one."""
    home = fourth_home(cluster)
    if home.is_mount():
        # Lazily: a broker that is just ending may still be in it, and its data goes anyway.
        subprocess.run(["umount", "-l", str(home)], stderr=subprocess.DEVNULL, check=False)


def fourth_home(cluster: Cluster) -> Path:
    """Where the fourth broker keeps everything."""
    return cluster.folder / f"node-{FOURTH}"


def _add_partitions(scene: Scene) -> str:
    topic = scene.settings.input_topic
    count = len(_placements(scene, topic)) + 1
    if count > _MOST_PARTITIONS:
        raise NotSeen(f"{topic} has {_MOST_PARTITIONS} partitions, and need not have more")
    scene.admin.create_partitions([NewPartitions(topic, count)])[topic].result()
    scene.wait_for(lambda: len(_placements(scene, topic)) == count, 15, "brokers know of it")

    def read() -> bool:
        try:
            committed, ends = scene.positions()
        except KafkaException:
            return False
        return committed.get(count - 1, 0) > 0 or ends.get(count - 1, 1) == 0

    scene.wait_for(read, 60, "the new partition is read")
    return f"{count - 1} to {count}"


def _too_few_in_sync(scene: Scene) -> str:
    topic = scene.settings.output_topic
    cluster = scene.ours()
    node = scene.random.choice(_placements(scene, topic)[0].replicas)
    set_config(scene.admin, topic, "min.insync.replicas", "3")
    try:
        cluster.kill(node)
        scene.sleep(12)
        seen = [replica.name for replica in scene.running() if not replica.is_ready()]
    finally:
        set_config(scene.admin, topic, "min.insync.replicas", "2")
    scene.sleep(1)
    cluster.restart(node)
    scene.brokers_whole()
    return f"3 wanted of {topic} with node {node} dead; not ready meanwhile: {seen or 'none'}"


def _output_missing(scene: Scene) -> str:
    with side_stream(scene, f"no-output-{scene.load.sent}", output=False) as side:
        side.send(300)
        side.replica.start()
        topic = side.settings.output_topic

        def told() -> bool:
            status, text = side.replica.ask("/ready")
            return status == 503 and topic in text and "does not exist" in text

        scene.wait_for(told, 60, "/ready says that the output topic is missing")
        side.make(topic)
        scene.wait_for(lambda: len(side.read(topic)) >= 300, 60, "all are answered then")
        _exactly(side, 300)
    return "/ready said so; 300 of 300 answered once it was made"


def _retention(scene: Scene) -> str:
    with side_stream(scene, f"retention-{scene.load.sent}") as side:
        side.send(300)
        side.replica.start()
        output = side.settings.output_topic
        scene.wait_for(lambda: len(side.read(output)) >= 300, 60, "all are answered")
        side.replica.terminate()
        side.replica.wait()
        side.send(200)
        _delete_unread(scene, side)
        side.replica.start()

        def told() -> bool:
            status, text = side.replica.ask("/ready")
            return status == 503 and "deleted before they were read" in text

        scene.wait_for(told, 60, "/ready says what was deleted unread")
        line = side.logged("deleted before they were read")
        if line is None or " ERROR " not in line:
            raise NotSeen(f"the log does not say what was deleted unread: {line}")
        side.replica.terminate()
        side.replica.wait()
        side.replica.start(KAFKA_ON_GAP="continue")
        side.send(100)
        scene.wait_for(lambda: len(side.read(output)) >= 400, 60, "it goes on when told to")
        _exactly(side, 400)
    return "200 messages; not ready, with partition and count, until told to go on"


def _delete_unread(scene: Scene, side: Side) -> None:
    topic = side.settings.input_topic
    everything = [TopicPartition(topic, partition, -1) for partition in (0, 1)]
    for future in scene.admin.delete_records(everything).values():
        future.result()


def _exactly(side: Side, count: int) -> None:
    found = len(side.read(side.settings.output_topic))
    if found != count or side.letters():
        raise NotSeen(f"{found} answers and {len(side.letters())} dead letters, {count} were due")


FAULTS = (
    Fault("broker: kill -9 of one", "brokers", _kill_broker, _not_ours, stall_s=10, quick=True),
    Fault("broker: kill -9 of the controller", "brokers", _kill_controller, _not_ours, stall_s=10),
    Fault("broker: restart", "brokers", _restart, _not_ours),
    Fault("broker: all three stopped and started", "brokers", _stop_all, _not_ours),
    Fault("broker: a leader moved", "brokers", _move_leader, _not_ours, quick=True),
    Fault("broker: a partition reassigned to a new one", "brokers", _reassign, _not_ours),
    Fault("broker: partitions added to the input", "brokers", _add_partitions, mixes=False),
    Fault("broker: too few replicas in sync", "brokers", _too_few_in_sync, _not_ours),
    Fault("broker: the output topic missing", "brokers", _output_missing, mixes=False),
    Fault("broker: retention deletes unread input", "brokers", _retention, mixes=False),
)
