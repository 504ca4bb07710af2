"""Shows reports of topics on a terminal."""

from __future__ import annotations

from typing import Optional, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from seldon_kafka.topics.report import Partition, TopicReport


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
