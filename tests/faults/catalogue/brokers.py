"""Faults of brokers: dead ones, moved leaders, changed and missing topics."""

from __future__ import annotations

import subprocess
from pathlib import Path

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import NewPartitions

from kafka.cluster.local import Cluster
from kafka.cluster.placement import Placement
from kafka.cluster.state import QUORUM
from tests.faults.context import RunContext, set_config
from tests.faults.fault import Fault, FaultNotObserved
from tests.faults.side import SideStream, side_stream

FOURTH = QUORUM + 1
"""The broker that is added during a run; its data folder is a tmpfs, if that is possible."""

_DOWN_S = 6.0
_MAX_PARTITIONS = 12


def _no_own_cluster(context: RunContext) -> str | None:
    return None if context.cluster is not None else "the brokers do not belong to the run"


def _kill_broker(context: RunContext) -> str:
    cluster = context.own_cluster()
    controller = cluster.controller()
    return _kill(context, context.random.choice([n for n in (1, 2, 3) if n != controller]))


def _kill_controller(context: RunContext) -> str:
    return _kill(context, context.own_cluster().controller())


def _kill(context: RunContext, node: int) -> str:
    cluster = context.own_cluster()
    cluster.kill(node)
    context.sleep(_DOWN_S + context.random.uniform(0, 6))
    cluster.restart(node)
    context.wait_for_in_sync_replicas()
    return f"node {node}"


def _restart(context: RunContext) -> str:
    node = context.random.choice((1, 2, 3))
    context.own_cluster().restart(node)
    context.wait_for_in_sync_replicas()
    return f"node {node}"


def _stop_all(context: RunContext) -> str:
    cluster = context.own_cluster()
    cluster.down()
    context.sleep(3)
    Cluster.start(cluster.folder)
    context.wait_for_in_sync_replicas()
    return "all brokers at once"


def _placements(context: RunContext, topic: str) -> list[Placement]:
    partitions = context.admin.list_topics(topic, timeout=10).topics[topic].partitions.values()
    return [Placement(topic, part.id, tuple(part.replicas)) for part in partitions]


def _move_leader(context: RunContext) -> str:
    topics = (context.settings.input_topic, context.settings.output_topic, "__transaction_state")
    moves = []
    for topic in topics:
        chosen = context.random.choice(_placements(context, topic))
        first, *rest = chosen.replicas
        moves.append(Placement(topic, chosen.partition, (*rest, first)))
    context.own_cluster().move(moves)
    return ", ".join(f"{move.topic}/{move.partition} to {move.replicas[0]}" for move in moves)


def _reassign(context: RunContext) -> str:
    cluster = context.own_cluster()
    if len(cluster.state.nodes) < FOURTH:
        add_fourth(context)
        return "a fourth broker, with its share of all partitions"
    moves = []
    for topic in (context.settings.input_topic, context.settings.output_topic):
        chosen = context.random.choice(_placements(context, topic))
        others = [node for node in range(1, FOURTH + 1) if node not in chosen.replicas]
        index = context.random.randrange(len(chosen.replicas))
        replicas = list(chosen.replicas)
        replicas[index] = others[0]
        moves.append(Placement(topic, chosen.partition, tuple(replicas)))
    cluster.move(moves)
    return ", ".join(f"{move.topic}/{move.partition} to {move.replicas}" for move in moves)


def add_fourth(context: RunContext) -> None:
    """Adds the fourth broker, on a disk of its own where one can be mounted."""
    cluster = context.own_cluster()
    home = fourth_home(cluster)
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(home)]
    subprocess.run(mount, stderr=subprocess.DEVNULL, check=False)
    cluster.add()


def unmount_fourth(cluster: Cluster) -> None:
    """Unmounts the disk of the fourth broker, if there is one."""
    home = fourth_home(cluster)
    if home.is_mount():
        # A lazy unmount: a broker that is just ending may still use the disk.
        subprocess.run(["umount", "-l", str(home)], stderr=subprocess.DEVNULL, check=False)


def fourth_home(cluster: Cluster) -> Path:
    """Returns the folder of the fourth broker."""
    return cluster.folder / f"node-{FOURTH}"


def _add_partitions(context: RunContext) -> str:
    topic = context.settings.input_topic
    count = len(_placements(context, topic)) + 1
    if count > _MAX_PARTITIONS:
        raise FaultNotObserved(f"{topic} has {_MAX_PARTITIONS} partitions, which is the maximum")
    context.admin.create_partitions([NewPartitions(topic, count)])[topic].result()
    context.wait_for(lambda: len(_placements(context, topic)) == count, 15, "the brokers know it")

    def read() -> bool:
        try:
            committed, ends = context.positions()
        except KafkaException:
            return False
        return committed.get(count - 1, 0) > 0 or ends.get(count - 1, 1) == 0

    context.wait_for(read, 60, "the new partition is read")
    return f"{count - 1} to {count}"


def _too_few_in_sync(context: RunContext) -> str:
    topic = context.settings.output_topic
    cluster = context.own_cluster()
    node = context.random.choice(_placements(context, topic)[0].replicas)
    set_config(context.admin, topic, "min.insync.replicas", "3")
    try:
        cluster.kill(node)
        context.sleep(12)
        seen = [replica.name for replica in context.running() if not replica.is_ready()]
    finally:
        set_config(context.admin, topic, "min.insync.replicas", "2")
    context.sleep(1)
    cluster.restart(node)
    context.wait_for_in_sync_replicas()
    return f"3 required for {topic} with node {node} dead; not ready meanwhile: {seen or 'none'}"


def _output_missing(context: RunContext) -> str:
    with side_stream(context, f"no-output-{context.load.sent}", output=False) as side:
        side.send(300)
        side.replica.start()
        topic = side.settings.output_topic

        def is_reported() -> bool:
            status, text = side.replica.ask("/ready")
            return status == 503 and topic in text and "does not exist" in text

        context.wait_for(is_reported, 60, "/ready says that the output topic is missing")
        side.make(topic)
        context.wait_for(lambda: len(side.read(topic)) >= 300, 60, "all messages are answered")
        _exactly(side, 300)
    return "/ready said so; 300 of 300 messages answered after it was created"


def _retention(context: RunContext) -> str:
    with side_stream(context, f"retention-{context.load.sent}") as side:
        side.send(300)
        side.replica.start()
        output = side.settings.output_topic
        context.wait_for(lambda: len(side.read(output)) >= 300, 60, "all messages are answered")
        side.replica.terminate()
        side.replica.wait()
        side.send(200)
        _delete_unread(context, side)
        side.replica.start()

        def is_reported() -> bool:
            status, text = side.replica.ask("/ready")
            return status == 503 and "deleted before they were read" in text

        context.wait_for(is_reported, 60, "/ready reports the deleted messages")
        line = side.logged("deleted before they were read")
        if line is None or " ERROR " not in line:
            raise FaultNotObserved(f"the log does not report the deleted messages: {line}")
        side.replica.terminate()
        side.replica.wait()
        side.replica.start(KAFKA_ON_GAP="continue")
        side.send(100)
        context.wait_for(
            lambda: len(side.read(output)) >= 400, 60, "it continues with that setting"
        )
        _exactly(side, 400)
    return "200 messages; not ready, with partition and count, until KAFKA_ON_GAP=continue"


def _delete_unread(context: RunContext, side: SideStream) -> None:
    topic = side.settings.input_topic
    ends = [TopicPartition(topic, partition, -1) for partition in (0, 1)]
    for future in context.admin.delete_records(ends).values():
        future.result()


def _exactly(side: SideStream, count: int) -> None:
    found = len(side.read(side.settings.output_topic))
    if found != count or side.letters():
        letters = len(side.letters())
        raise FaultNotObserved(
            f"{found} answers and {letters} dead letters, {count} answers were expected"
        )


FAULTS = (
    Fault(
        "broker: kill -9 of one", "brokers", _kill_broker, _no_own_cluster, stall_s=10, quick=True
    ),
    Fault(
        "broker: kill -9 of the controller",
        "brokers",
        _kill_controller,
        _no_own_cluster,
        stall_s=10,
    ),
    Fault("broker: restart", "brokers", _restart, _no_own_cluster),
    Fault("broker: all three stopped and started", "brokers", _stop_all, _no_own_cluster),
    Fault("broker: a leader moved", "brokers", _move_leader, _no_own_cluster, quick=True),
    Fault("broker: a partition reassigned to a new one", "brokers", _reassign, _no_own_cluster),
    Fault("broker: partitions added to the input", "brokers", _add_partitions, mixes=False),
    Fault("broker: too few replicas in sync", "brokers", _too_few_in_sync, _no_own_cluster),
    Fault("broker: the output topic missing", "brokers", _output_missing, mixes=False),
    Fault("broker: retention deletes unread input", "brokers", _retention, mixes=False),
)
