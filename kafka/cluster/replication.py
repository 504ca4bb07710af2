"""Spreads partitions over the brokers of a cluster, with Kafka's own tools."""

from __future__ import annotations

import json
import logging
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, ElectionType, KafkaException, Producer
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from kafka.cluster.distribution import Distribution
from kafka.cluster.metadata import MIN_IN_SYNC, QUIET, admin_client, min_in_sync, placements
from kafka.cluster.placement import Placement, plan
from kafka.cluster.process import await_true
from kafka.cluster.security import client_config, tool_arguments
from kafka.cluster.state import ClusterError, ClusterState

_SPREAD_S = 120.0
_VOTERS_S = 60.0


def await_voters(folder: Path, state: ClusterState, kafka: Distribution) -> None:
    """Waits until every controller is a voter of the quorum.

    Before that, the failure of one controller may stop the quorum.

    Args:
        folder: folder of the cluster.
        state: state of the cluster.
        kafka: Java and Kafka's tools.

    Raises:
        ClusterError: a controller is not a voter after a minute.
    """
    wanted = {node.id for node in state.controllers}
    brokers = _brokers(folder, state)
    if not await_true(lambda: wanted <= _voters(brokers, kafka), _VOTERS_S):
        raise ClusterError(
            f"not all controllers (nodes {sorted(wanted)}) have joined the quorum within "
            f"{_VOTERS_S:.0f} s"
        )


def _brokers(folder: Path, state: ClusterState) -> list[str]:
    return ["--bootstrap-server", state.bootstrap, *tool_arguments(folder, state)]


def _voters(brokers: list[str], kafka: Distribution) -> set[int]:
    voters = _quorum(brokers, kafka).get("CurrentVoters", "[]")
    return {voter["id"] for voter in json.loads(voters)}


def active_controller(folder: Path, state: ClusterState, kafka: Distribution) -> int:
    """Returns the node id of the active controller.

    Raises:
        ClusterError: there is no active controller, or no broker answers.
    """
    leader = _quorum(_brokers(folder, state), kafka).get("LeaderId", "-1").strip()
    if int(leader) < 0:
        raise ClusterError("the cluster has no active controller")
    return int(leader)


def _quorum(brokers: list[str], kafka: Distribution) -> dict[str, str]:
    """Returns the status of the quorum, by name, as Kafka's tool prints it.

    If the tool fails, the result has none of the expected names.
    """
    done = _tool(
        kafka,
        "org.apache.kafka.tools.MetadataQuorumCommand",
        *(*brokers, "describe", "--status"),
    )
    lines = (line.partition(":") for line in done.stdout.splitlines())
    return {name: value for name, _, value in lines}


def spread(folder: Path, state: ClusterState, kafka: Distribution) -> None:
    """Balances the partitions of every topic over the brokers, and adds missing replicas.

    Args:
        folder: folder of the cluster.
        state: state of the cluster; all nodes must be alive.
        kafka: Java and Kafka's tools.

    Raises:
        ClusterError: the tool failed, or the replicas were not in sync within two minutes.
    """
    client = client_config(folder, state)
    _make_internal_topics(client)
    admin = admin_client(client)
    brokers = [node.id for node in state.nodes]
    moves = plan(placements(admin), brokers, state.replication)
    if moves:
        move(folder, state, kafka, moves)
    _raise_min_in_sync(admin, state.replication)


def move(
    folder: Path, state: ClusterState, kafka: Distribution, moves: Sequence[Placement]
) -> None:
    """Moves partitions to other brokers, and makes the first replica of each partition its leader.

    Args:
        folder: folder of the cluster.
        state: state of the cluster.
        kafka: Java and Kafka's tools.
        moves: new placement of each partition to move.

    Raises:
        ClusterError: the tool failed, or the replicas were not in sync within two minutes.
    """
    admin = admin_client(client_config(folder, state))
    _reassign(_brokers(folder, state), kafka, moves)
    wanted = {(move.topic, move.partition): set(move.replicas) for move in moves}
    if not await_true(lambda: _are_in_sync(admin, wanted), _SPREAD_S):
        raise ClusterError(
            f"the brokers have not copied every partition within {_SPREAD_S:.0f} s; "
            "`python -m kafka.cluster status` shows their progress"
        )
    _elect_preferred_leaders(admin)


def _make_internal_topics(client: Mapping[str, Any]) -> None:
    """Makes the brokers create the topics for offsets and transactions if they do not exist.

    Otherwise they might be created later with the replication factor that a broker read at its
    start. If the cluster has grown since, this factor is too small.
    """
    producer = Producer({**client, "transactional.id": "kafka.cluster"}, logger=QUIET)
    producer.init_transactions(30)
    consumer = Consumer({**client, "group.id": "kafka.cluster"}, logger=QUIET)
    try:
        await_true(lambda: _is_coordinator_known(admin_client(client)), 30)
    finally:
        consumer.close()


def _is_coordinator_known(admin: Any) -> bool:
    try:
        admin.describe_consumer_groups(["kafka.cluster"], request_timeout=10)[
            "kafka.cluster"
        ].result()
    except KafkaException:
        return False
    return True


def _reassign(brokers: list[str], kafka: Distribution, moves: Sequence[Placement]) -> None:
    document = {
        "version": 1,
        "partitions": [
            {"topic": m.topic, "partition": m.partition, "replicas": list(m.replicas)}
            for m in moves
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "reassignment.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        done = _tool(
            kafka,
            "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
            *(*brokers, "--execute"),
            *("--reassignment-json-file", str(file)),
        )
    if done.returncode != 0:
        raise ClusterError(f"Kafka's reassignment tool failed:\n{done.stdout.strip()[-2000:]}")


def _tool(
    kafka: Distribution, main_class: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        kafka.command(main_class, *arguments, jvm=["-Xmx128m"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _are_in_sync(admin: Any, wanted: dict[Any, Any]) -> bool:
    """Returns whether each partition has exactly the wanted replicas, all of them in sync.

    The result is False if no broker answers.
    """
    try:
        topics = admin.list_topics(timeout=5).topics
    except KafkaException:
        return False
    return all(
        set(topics[topic].partitions[partition].replicas) == replicas
        and set(topics[topic].partitions[partition].isrs) == replicas
        for (topic, partition), replicas in wanted.items()
    )


def _elect_preferred_leaders(admin: Any) -> None:
    """Makes the first replica of each partition its leader now.

    An error is only logged, because the brokers do this by themselves some seconds later.
    """
    try:
        admin.elect_leaders(ElectionType.PREFERRED).result()
    except KafkaException as error:
        logging.getLogger(__name__).debug("no election: %s", error)


def _raise_min_in_sync(admin: Any, replication: int) -> None:
    """Sets `min.insync.replicas` to at least 2 for topics with three replicas or more."""
    if replication < 3:
        return
    topics = [
        topic.topic
        for topic in admin.list_topics(timeout=10).topics.values()
        if all(len(p.replicas) >= 3 for p in topic.partitions.values())
    ]
    for topic, least in min_in_sync(admin, topics).items():
        if least < 2:
            change = ConfigEntry(MIN_IN_SYNC, "2", incremental_operation=AlterConfigOpType.SET)
            altered = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
            admin.incremental_alter_configs([altered])[altered].result()
