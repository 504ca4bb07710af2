"""The configuration of a node: what Kafka reads at its start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kafka.cluster.address import HOST, node_folder
from kafka.cluster.security import controller_protocol
from kafka.cluster.state import ClusterState, Node

# What the promise "takes over quickly" needs of a broker.
TAKE_OVER: dict[str, str] = {
    # How often transactions that have outlived their time-out are looked for (Kafka: 10 s);
    # until one is aborted, read_committed readers wait behind it.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # Lets a worker ask for a shorter session than Kafka's floor of 6 s.
    "group.min.session.timeout.ms": "1000",
    # Kafka makes a new group wait 3 s for more members; ours rebalance quickly anyway.
    "group.initial.rebalance.delay.ms": "0",
    # A broker that is silent this long is taken for dead (Kafka: 9 s). Leaders and coordinators
    # are to be elsewhere before transactions (5 s) and sessions of workers (6 s) run out.
    "broker.session.timeout.ms": "2500",
    "broker.heartbeat.interval.ms": "500",
    # A controller that is silent this long is replaced (Kafka: 2 s); the new one then waits for
    # silent brokers from its own beginning.
    "controller.quorum.fetch.timeout.ms": "1000",
    # A group that sleeps over a long holiday keeps its place: one year (Kafka: 7 days).
    "offsets.retention.minutes": "525600",
}

# What suits several brokers on one small machine.
_LAPTOP: dict[str, str] = {
    # A misspelt topic is an error, not a new topic.
    "auto.create.topics.enable": "false",
    # 8 MiB of input, 64 KiB of dead-letter headers, and the record batch around them.
    "message.max.bytes": str(9 * 1024 * 1024),
    "replica.fetch.max.bytes": str(9 * 1024 * 1024),
    "num.partitions": "12",
    # Kafka's 50 partitions each are for clusters; 12 are made faster, on one disk.
    "offsets.topic.num.partitions": "12",
    "transaction.state.log.num.partitions": "12",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.segment.bytes": str(256 * 1024 * 1024),
    # The default of 128 MiB for the cleaner would eat a quarter of the heap.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "leader.imbalance.check.interval.seconds": "10",
    "controlled.shutdown.max.retries": "1",
}


def server_properties(
    state: ClusterState, node: Node, data: Path, security: Mapping[str, str]
) -> str:
    """The text of a node's ``server.properties``.

    Args:
        state: The whole cluster, for the quorum and the replication.
        node: The node that will read it.
        data: Where the node keeps its records.
        security: What the listener for clients, and for other brokers, needs.
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
        # A controller that was not among the founders becomes a voter by itself.
        settings["controller.quorum.auto.join.enable"] = "true"
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def logging_properties(level: str, log: Path) -> str:
    """A log4j2 configuration that writes to one file of bounded size.

    Args:
        level: The least level that is written, such as ``INFO``.
        log: The file; ten megabytes of it are kept, and ten of its predecessor.
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
    """Where a node keeps its records."""
    return node_folder(folder, node) / "data"
