"""Composes the configuration files of a node, which Kafka reads at its start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kafka.cluster.address import HOST, node_folder
from kafka.cluster.security import controller_protocol
from kafka.cluster.state import ClusterState, Node

# Broker settings for a quick take-over after a worker or a broker dies.
TAKE_OVER: dict[str, str] = {
    # Interval at which brokers abort transactions that have timed out (Kafka's default: 10 s).
    # Until the abort, read_committed consumers wait.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # A worker may have a shorter session timeout than Kafka's minimum of 6 s.
    "group.min.session.timeout.ms": "1000",
    # By default, a new group waits 3 s for more members. Without the wait, there may be one more
    # rebalance, which is quick.
    "group.initial.rebalance.delay.ms": "0",
    # A broker that is silent for this time counts as dead (Kafka's default: 9 s). Other brokers
    # must take over before transactions (5 s) and sessions of workers (6 s) time out.
    "broker.session.timeout.ms": "2500",
    "broker.heartbeat.interval.ms": "500",
    # A controller that is silent for this time is replaced (Kafka's default: 2 s). The new
    # controller restarts the session time-outs of silent brokers. So if a controller and a broker
    # die together, this time and `broker.session.timeout.ms` add up.
    "controller.quorum.fetch.timeout.ms": "1000",
    # A group without members keeps its committed offsets for one year (Kafka's default: 7 days).
    "offsets.retention.minutes": "525600",
}

# Settings for several brokers on one small machine.
_LAPTOP: dict[str, str] = {
    # A misspelt topic is an error, not a new topic.
    "auto.create.topics.enable": "false",
    # Enough for a value of 8 MiB, dead-letter headers of 64 KiB, and the record batch around them.
    "message.max.bytes": str(9 * 1024 * 1024),
    "replica.fetch.max.bytes": str(9 * 1024 * 1024),
    "num.partitions": "12",
    # Kafka's default of 50 partitions is for large clusters. On one disk, 12 are created faster.
    "offsets.topic.num.partitions": "12",
    "transaction.state.log.num.partitions": "12",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.segment.bytes": str(256 * 1024 * 1024),
    # The cleaner's default of 128 MiB is a quarter of the heap.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "leader.imbalance.check.interval.seconds": "10",
    "controlled.shutdown.max.retries": "1",
}


def server_properties(
    state: ClusterState, node: Node, data: Path, security: Mapping[str, str]
) -> str:
    """Returns the text of a node's `server.properties`.

    Args:
        state: state of the cluster, from which the quorum and the replication factors follow.
        node: the node.
        data: folder of the node's records.
        security: properties for authentication, encryption and access rights of the node.
    """
    protocol = state.security.upper()
    replication = state.replication
    in_sync = 2 if replication >= 3 else 1
    listeners = [f"{protocol}://{node.address}"]
    if node.controller_port is not None:
        listeners.append(f"CONTROLLER://{HOST}:{node.controller_port}")
    quorum = ",".join(f"{HOST}:{voter.controller_port}" for voter in state.controllers)
    settings = {
        "node.id": str(node.id),
        "process.roles": node.roles,
        "listeners": ",".join(listeners),
        "advertised.listeners": f"{protocol}://{node.address}",
        "inter.broker.listener.name": protocol,
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": (
            f"{protocol}:{protocol},CONTROLLER:{controller_protocol(state.security)}"
        ),
        "controller.quorum.bootstrap.servers": quorum,
        "log.dirs": str(data),
        "default.replication.factor": str(replication),
        "offsets.topic.replication.factor": str(replication),
        "transaction.state.log.replication.factor": str(replication),
        "transaction.state.log.min.isr": str(in_sync),
        "share.coordinator.state.topic.replication.factor": str(replication),
        "share.coordinator.state.topic.min.isr": str(in_sync),
        **TAKE_OVER,
        **_LAPTOP,
        **security,
    }
    if node.controller_port is not None:
        # A controller that joins an existing quorum becomes a voter without a command.
        settings["controller.quorum.auto.join.enable"] = "true"
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def logging_properties(level: str, log: Path) -> str:
    """Returns a log4j2 configuration for one log file of limited size.

    Args:
        level: the lowest level that is written, such as `INFO`.
        log: path of the log file. It is limited to 10 MB, and one older file of 10 MB is kept.
    """
    return "\n".join(
        (
            "appender.file.type=RollingFile",
            "appender.file.name=file",
            f"appender.file.fileName={log}",
            f"appender.file.filePattern={log}.old",
            "appender.file.layout.type=PatternLayout",
            "appender.file.layout.pattern=%d %p %m (%c)%n",
            "appender.file.policies.type=SizeBasedTriggeringPolicy",
            "appender.file.policies.size=10MB",
            "appender.file.strategy.type=DefaultRolloverStrategy",
            "appender.file.strategy.max=1",
            f"rootLogger.level={level}",
            "rootLogger.appenderRef.file.ref=file",
            "",
        )
    )


def data_folder(folder: Path, node: int) -> Path:
    """Returns the folder of a node's records."""
    return node_folder(folder, node) / "data"
