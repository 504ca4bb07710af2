"""The panel that shows commands and their output."""

from __future__ import annotations

from typing import Any

from consumer.dashboard.console import Entry
from consumer.dashboard.context import DashboardContext
from consumer.dashboard.elements import ConsoleLog
from consumer.dashboard.panels import Refresh, panel


def console(context: DashboardContext) -> Refresh:
    """Builds the panel."""
    with panel("Console"):
        log = ConsoleLog()
        log.show(entries=[])
    shown: tuple[int, int, int] | None = None

    def refresh() -> None:
        nonlocal shown
        version = context.console.version
        if version != shown:
            shown = version
            entries = list(context.console.entries)
            log.show(entries=[_values(each) for each in reversed(entries)])

    return refresh


def _values(entry: Entry) -> dict[str, Any]:
    states = {None: "running", 0: "done"}
    return {
        "number": entry.number,
        "command": entry.command,
        "state": states.get(entry.status, f"exit status {entry.status}"),
        "output": entry.output,
    }
