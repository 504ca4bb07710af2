"""Shows progress and status in the terminal."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from types import TracebackType

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table

from kafka.cluster.address import PLAINTEXT
from kafka.cluster.local import Cluster
from kafka.cluster.progress import Progress
from kafka.cluster.status import Status


class LiveProgress(Progress):
    """Shows a progress bar for each step on a terminal; otherwise writes a line for each step."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = Bars(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> LiveProgress:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        self._bars.stop()

    def begin(self, step: str, total: int | None = None) -> None:
        """Completes the bar of the previous step, and shows a bar for this step."""
        self._finish()
        self._task = self._bars.add_task(step, total=total)
        if not self._console.is_terminal:
            self._console.print(step, highlight=False)

    def advance(self, parts: int = 1) -> None:
        """Advances the bar of the current step."""
        if self._task is not None:
            self._bars.advance(self._task, parts)

    def message(self, text: str) -> None:
        """Prints a text above the bars."""
        self._console.print(text, highlight=False, markup=False)

    def _finish(self) -> None:
        if self._task is None:
            return
        total = self._bars.tasks[self._task].total or 1
        self._bars.update(self._task, total=total, completed=total)


def show_status(cluster: Cluster, as_json: bool) -> int:
    """Prints the state of the nodes, and whether the cluster tolerates a broker's failure.

    Returns:
        Exit status: 0 if every node runs, else 1.

    Raises:
        ClusterError: the folder has no cluster.
    """
    status = cluster.status()
    if as_json:
        sys.stdout.write(json.dumps(asdict(status)) + "\n")
    else:
        _print_status(status)
    return 0 if all(node.pid is not None for node in status.nodes) else 1


def _print_status(status: Status) -> None:
    console = Console(highlight=False)
    table = Table("node", "roles", "address", "process", box=box.SIMPLE_HEAD)
    for node in status.nodes:
        state = "[red]dead[/]" if node.pid is None else str(node.pid)
        table.add_row(str(node.id), node.roles, node.address, state)
    console.print(table)
    if status.security != PLAINTEXT:
        console.print(
            f"clients use {status.security}; "
            "`python -m kafka.cluster environment` prints their variables"
        )
    if status.bootstrap is None:
        console.print("stopped; `python -m kafka.cluster up` starts it again with its records")
    elif status.weaknesses:
        console.print("[yellow]The cluster does not tolerate the failure of a broker:[/]")
        for weakness in status.weaknesses:
            console.print(f"  - {weakness}", markup=False)
    else:
        console.print(
            "[green]Any one broker may fail: no records are lost, and the others take over.[/]"
        )
