"""Reports partitions of topics and the lag of a consumer group, and shows reports on a terminal."""

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
    """One partition.

    Attributes:
        partition: its number.
        leader: its leader's broker id, or None without a leader.
        replicas: broker ids of its replicas.
        in_sync: broker ids of the in-sync replicas.
        first: offset of the oldest record.
        end: offset of the next record.
        committed: committed offset of the group, or None.
        lag: records and transaction markers between `committed` and `end`; None without a commit.
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
        """The number of records that the group has to process: its lag, or all without a commit."""
        if self.lag is not None:
            return self.lag
        return max(0, (self.end or 0) - (self.first or 0))


@dataclass(frozen=True)
class TopicReport:
    """A topic's partitions, in order; None if the topic does not exist."""

    topic: str
    partitions: Optional[Tuple[Partition, ...]]

    @property
    def lag(self) -> Optional[int]:
        """The group's lag over all partitions; None without a commit."""
        known = [p.lag for p in self.partitions or () if p.lag is not None]
        return sum(known) if known else None


def report(consumer: Consumer, names: Sequence[str]) -> List[TopicReport]:
    """Asks the brokers about topics.

    Args:
        consumer: a `confluent_kafka.Consumer`, which does not join its group; the report has the
            group's commits. (`AdminClient.list_offsets` of confluent-kafka 2.16 could ask for all
            partitions at once, and ends the process with a segmentation fault if a partition has
            no leader.)
        names: the topics; a missing one is reported as such.

    Raises:
        KafkaException: the brokers do not answer.
    """
    topics = consumer.list_topics(timeout=_TIMEOUT_S).topics
    every = [
        TopicPartition(name, number)
        for name in names
        if name in topics
        for number in sorted(topics[name].partitions)
    ]
    committed = {
        (tp.topic, tp.partition): tp.offset
        for tp in (consumer.committed(every, timeout=_TIMEOUT_S) if every else ())
        if tp.offset >= 0
    }
    reports = []
    for name in names:
        if name not in topics:
            reports.append(TopicReport(name, None))
            continue
        partitions = [
            _partition(consumer, name, known, committed.get((name, number)))
            for number, known in sorted(topics[name].partitions.items())
        ]
        reports.append(TopicReport(name, tuple(partitions)))
    return reports


def lag(first: Optional[int], end: Optional[int], committed: Optional[int]) -> Optional[int]:
    """Returns the lag of a group; records that retention has deleted do not count."""
    if end is None or committed is None:
        return None
    return max(0, end - max(committed, first or 0))


def _partition(consumer: Consumer, topic: str, known: Any, committed: Optional[int]) -> Partition:
    first, end = _offsets(consumer, TopicPartition(topic, known.id)) or (None, None)
    return Partition(
        partition=known.id,
        leader=known.leader if known.leader >= 0 else None,
        replicas=tuple(known.replicas),
        in_sync=tuple(sorted(known.isrs)),
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
    except KafkaException:  # it has no leader now, which is shown
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
    followed = topic.lag is not None
    if followed:
        title += f", lag of {group}: {topic.lag}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("partition", "leader", "replicas", "in sync", "first", "end"):
        table.add_column(column, justify="right")
    if followed:
        table.add_column("committed", justify="right")
        table.add_column("lag", justify="right")
    for p in partitions:
        thin = "[yellow]" if len(p.in_sync) < len(p.replicas) else ""
        cells = [
            str(p.partition),
            "[red]none[/]" if p.leader is None else str(p.leader),
            ",".join(map(str, p.replicas)),
            thin + ",".join(map(str, p.in_sync)),
            _number(p.first),
            _number(p.end),
        ]
        if followed:
            cells += [_number(p.committed), _number(p.lag)]
        table.add_row(*cells)
    return table


def _number(value: Optional[int]) -> str:
    return "-" if value is None else str(value)
