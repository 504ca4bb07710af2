"""Reports the partitions of topics and the lag of a group, and shows reports on a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional, Sequence, Tuple

from confluent_kafka import Consumer, KafkaException, TopicPartition
from rich import box
from rich.console import Console
from rich.table import Table

_TIMEOUT_S = 10
_PARTITION_S = 2


@dataclass(frozen=True)
class Partition:
    """One partition of a topic.

    Attributes:
        partition: number of the partition.
        leader: broker id of the leader; None without a leader.
        replicas: broker ids of the replicas.
        in_sync: broker ids of the in-sync replicas.
        first: offset of the oldest record; None if no leader answers.
        end: offset of the next record; None if no leader answers.
        committed: committed offset of the group; None without a commit.
        lag: number of offsets from `committed` to `end`, transaction markers included, without
            offsets before `first`; None without a commit, or if no leader answers.
    """

    partition: int
    leader: Optional[int]
    replicas: Tuple[int, ...]
    in_sync: Tuple[int, ...]
    first: Optional[int]
    end: Optional[int]
    committed: Optional[int]
    lag: Optional[int]

    @property
    def behind(self) -> int:
        """The number of offsets that the group has to read; 0 if no leader answers.

        It is the lag, or without a commit the number of all offsets from `first` to `end`.
        """
        if self.lag is not None:
            return self.lag
        return max(0, (self.end or 0) - (self.first or 0))


@dataclass(frozen=True)
class TopicReport:
    """The state of a topic.

    Attributes:
        topic: name of the topic.
        partitions: the partitions, by number; None if the topic does not exist.
    """

    topic: str
    partitions: Optional[Tuple[Partition, ...]]

    @property
    def lag(self) -> Optional[int]:
        """The sum of the lags of the partitions that have one; None if no partition has one."""
        lags = [p.lag for p in self.partitions or () if p.lag is not None]
        return sum(lags) if lags else None


def report(consumer: Consumer, names: Sequence[str]) -> List[TopicReport]:
    """Asks the brokers about topics, and returns a report for each.

    Args:
        consumer: a consumer of the group whose committed offsets are reported; it does not join the
            group. (`AdminClient.list_offsets` of confluent-kafka 2.16 could ask for all partitions
            at once, but ends the process with a segmentation fault if a partition has no leader.)
        names: the topics; a missing topic is reported without partitions.

    Raises:
        KafkaException: the brokers do not answer.
    """
    topics = consumer.list_topics(timeout=_TIMEOUT_S).topics
    topic_partitions = [
        TopicPartition(name, number)
        for name in names
        if name in topics
        for number in sorted(topics[name].partitions)
    ]
    committed = {
        (tp.topic, tp.partition): tp.offset
        for tp in (
            consumer.committed(topic_partitions, timeout=_TIMEOUT_S) if topic_partitions else ()
        )
        if tp.offset >= 0
    }
    reports = []
    for name in names:
        if name not in topics:
            reports.append(TopicReport(name, None))
            continue
        partitions = [
            _partition(consumer, name, metadata, committed.get((name, number)))
            for number, metadata in sorted(topics[name].partitions.items())
        ]
        reports.append(TopicReport(name, tuple(partitions)))
    return reports


def lag(first: Optional[int], end: Optional[int], committed: Optional[int]) -> Optional[int]:
    """Returns the lag of a group in a partition; offsets that retention deleted do not count."""
    if end is None or committed is None:
        return None
    return max(0, end - max(committed, first or 0))


def _partition(
    consumer: Consumer, topic: str, metadata: Any, committed: Optional[int]
) -> Partition:
    first, end = _offsets(consumer, TopicPartition(topic, metadata.id)) or (None, None)
    return Partition(
        partition=metadata.id,
        leader=metadata.leader if metadata.leader >= 0 else None,
        replicas=tuple(metadata.replicas),
        in_sync=tuple(sorted(metadata.isrs)),
        first=first,
        end=end,
        committed=committed,
        lag=lag(first, end, committed),
    )


def _offsets(consumer: Consumer, partition: TopicPartition) -> Optional[Tuple[int, int]]:
    try:
        offsets: Optional[Tuple[int, int]] = consumer.get_watermark_offsets(
            partition, timeout=_PARTITION_S
        )
    except KafkaException:  # the partition has no leader, or the leader does not answer
        return None
    return offsets


def show(reports: Sequence[TopicReport], group: str, console: Console) -> None:
    """Prints a table for each topic.

    Args:
        reports: the reports.
        group: the consumer group whose lag is shown.
        console: the terminal.
    """
    for topic in reports:
        if topic.partitions is None:
            console.print(
                f"[red]{topic.topic}: no such topic[/]; create it: seldon-kafka topics create"
            )
            continue
        console.print(_table(topic, topic.partitions, group))


def _table(topic: TopicReport, partitions: Sequence[Partition], group: str) -> Table:
    records = sum((p.end or 0) - (p.first or 0) for p in partitions)
    title = f"[bold]{topic.topic}[/]  {len(partitions)} partitions, {records} offsets"
    has_commits = topic.lag is not None
    if has_commits:
        title += f", lag of {group}: {topic.lag}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("partition", "leader", "replicas", "in sync", "first", "end"):
        table.add_column(column, justify="right")
    if has_commits:
        table.add_column("committed", justify="right")
        table.add_column("lag", justify="right")
    for p in partitions:
        color = "[yellow]" if len(p.in_sync) < len(p.replicas) else ""
        cells = [
            str(p.partition),
            "[red]none[/]" if p.leader is None else str(p.leader),
            ",".join(map(str, p.replicas)),
            color + ",".join(map(str, p.in_sync)),
            _number(p.first),
            _number(p.end),
        ]
        if has_commits:
            cells += [_number(p.committed), _number(p.lag)]
        table.add_row(*cells)
    return table


def _number(value: Optional[int]) -> str:
    return "-" if value is None else str(value)
