"""What the command line shows of replicas."""

from __future__ import annotations

import time
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from kafka.replicas.scaling import AUTOMATIC, BY_HAND

_GONE_SHOWN = 5


def show(status: dict[str, Any]) -> None:
    """Prints a manager's status."""
    console = Console(highlight=False)
    table = Table("replica", "state", "process", "for", "/status on", box=box.SIMPLE_HEAD)
    for each in status["replicas"]:
        state = "leaving" if each["leaving"] else "ready" if each["ready"] else "[yellow]not ready"
        table.add_row(
            each["name"],
            state,
            str(each["pid"]),
            span(time.time() - each["started_s"]),
            str(each["ports"]["KAFKA_HTTP_PORT"]),
        )
    for each in status["gone"][-_GONE_SHOWN:]:
        ago = span(time.time() - each["ended_s"])
        table.add_row(f"[dim]{each['name']}", f"[dim]gone {ago} ago", f"[dim]{each['pid']}")
    console.print(table)
    for each in status["gone"][-_GONE_SHOWN:]:
        console.print(f"{each['name']} ({each['pid']}): {each['why']}", markup=False)
    console.print(_in_words(status))


def _in_words(status: dict[str, Any]) -> str:
    policy = status["policy"]
    lag = status["lag"]
    known = f"lag {lag:,}" if lag is not None else f"lag unknown: {status['lag_trouble']}"
    if policy["mode"] == AUTOMATIC:
        how = (
            f"automatic: {policy['minimum']} to {policy['maximum']}, "
            f"one for each {policy['lag_per_worker']:,} messages of lag"
        )
    elif policy["mode"] == BY_HAND:
        how = f"by hand: {status['wanted']}"
    else:
        how = "off"
    return f"scaling is {how}; {known}"


def span(seconds: float) -> str:
    """A time in one number and a unit."""
    seconds = max(0, round(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
