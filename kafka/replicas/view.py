"""Shows replicas and their scaling in the terminal."""

from __future__ import annotations

import time
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from kafka.replicas.scaling import AUTOMATIC, BY_HAND

_ENDED_SHOWN = 5


def show(status: dict[str, Any]) -> None:
    """Prints the result of `Manager.status`."""
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
    for each in status["gone"][-_ENDED_SHOWN:]:
        ago = span(time.time() - each["ended_s"])
        table.add_row(f"[dim]{each['name']}", f"[dim]gone {ago} ago", f"[dim]{each['pid']}")
    console.print(table)
    for each in status["gone"][-_ENDED_SHOWN:]:
        console.print(f"{each['name']} ({each['pid']}): {each['why']}", markup=False)
    console.print(_describe_scaling(status))


def _describe_scaling(status: dict[str, Any]) -> str:
    policy = status["policy"]
    lag = status["lag"]
    known = f"lag {lag:,}" if lag is not None else f"lag unknown: {status['lag_trouble']}"
    if policy["mode"] == AUTOMATIC:
        how = (
            f"automatic: {policy['minimum']} to {policy['maximum']}, "
            f"one replica per {policy['lag_per_worker']:,} messages of lag"
        )
    elif policy["mode"] == BY_HAND:
        how = f"by hand: {status['wanted']}"
    else:
        how = "off"
    return f"scaling is {how}; {known}"


def span(seconds: float) -> str:
    """Returns a length of time as text, with one unit: `42 s`, `3 min`, `5 h` or `2 d`."""
    seconds = max(0, round(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
