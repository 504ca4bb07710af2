"""What the API's document of a pod says, in the dashboard's words."""

from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from consumer.dashboard.fleet import Instance

_ENDED = ("Succeeded", "Failed")
_MOST_CHARACTERS = 300
_BY_SIGNAL = 128
"""What is above this in an exit code is the number of the signal that ended the process."""


@dataclass(frozen=True)
class Pod:
    """A pod, as it is now.

    Attributes:
        instance: For the page.
        restarts: Of its containers, all together.
        template: Which version of the Deployment it was made from.
        disrupted: Why the cluster ends it, if it does and nobody asked.
    """

    instance: Instance
    restarts: int = 0
    template: str = ""
    disrupted: str = ""

    @property
    def stays(self) -> bool:
        """It runs, and was not told to finish."""
        return self.instance.ended_s is None and not self.instance.leaving


def read_pod(document: dict[str, Any], memory_bytes: int | None, now_s: float) -> Pod:
    """Reads a pod.

    Its `why` also tells of a container that ended badly and was started again, though all is well.

    Args:
        document: A pod of the API's version v1.
        memory_bytes: What it takes, where that is known.
        now_s: When it was asked for, in seconds since 1970.
    """
    metadata = document["metadata"]
    status = document.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    containers = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    ended = status.get("phase") in _ENDED
    started_s = _seconds(status.get("startTime") or metadata.get("creationTimestamp"))
    instance = Instance(
        name=metadata["name"],
        identity=metadata["uid"],
        started_s=now_s if started_s is None else started_s,
        ready=not ended and conditions.get("Ready", {}).get("status") == "True",
        leaving="deletionTimestamp" in metadata,
        ended_s=_ended_s(containers, now_s) if ended else None,
        why=_why(status, conditions, containers),
        memory_bytes=memory_bytes,
    )
    return Pod(
        instance,
        restarts=sum(each.get("restartCount", 0) for each in containers),
        template=(metadata.get("labels") or {}).get("pod-template-hash", ""),
        disrupted=_disrupted(conditions.get("DisruptionTarget", {})),
    )


def in_line(text: object) -> str:
    """Any text on one line of bounded length."""
    line = " ".join(str(text).split())
    return line if len(line) <= _MOST_CHARACTERS else line[: _MOST_CHARACTERS - 1] + "…"


def _seconds(timestamp: str | None) -> float | None:
    if timestamp is None:
        return None
    read = datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ")
    return read.replace(tzinfo=timezone.utc).timestamp()


def _ended_s(containers: list[dict[str, Any]], now_s: float) -> float:
    ends = [_seconds(_ended(each).get("finishedAt")) for each in containers]
    return max((each for each in ends if each is not None), default=now_s)


def _ended(container: dict[str, Any]) -> dict[str, Any]:
    """How a container ended, or did so last; nothing if it never did."""
    found = None
    for state in ("state", "lastState"):
        found = found or (container.get(state) or {}).get("terminated")
    return found or {}


def _why(
    status: dict[str, Any], conditions: dict[str, Any], containers: list[dict[str, Any]]
) -> str:
    """What is, or was, amiss; nothing if all is well."""
    if status.get("reason"):  # of the pod as a whole: Evicted, NodeLost, OutOfmemory
        return _joined(status)
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return _joined(scheduled)
    troubles = [(each["name"], _trouble(each)) for each in containers]
    told = [(name, trouble) for name, trouble in troubles if trouble]
    if len(containers) == 1:
        return "; ".join(trouble for _, trouble in told)
    return "; ".join(f"{name}: {trouble}" for name, trouble in told)


def _trouble(container: dict[str, Any]) -> str:
    parts = []
    ended = _ended(container)
    if ended.get("exitCode"):
        times = container.get("restartCount", 0)
        again = f", started again {times} time{'s' if times > 1 else ''}" if times else ""
        parts.append(f"{_end(ended)}{again}")
    waiting = (container.get("state") or {}).get("waiting")
    if waiting:
        parts.append(_joined(waiting))
    return ", ".join(parts)


def _end(terminated: dict[str, Any]) -> str:
    code = terminated["exitCode"]
    how = f"exit code {code}"
    with suppress(ValueError):
        how += f", {signal.Signals(code - _BY_SIGNAL).name}"
    return f"{in_line(terminated.get('reason') or 'ended')} ({how})"


def _disrupted(condition: dict[str, Any]) -> str:
    if condition.get("status") != "True":
        return ""
    return in_line(f"evicted: {condition.get('message') or condition.get('reason')}")


def _joined(part: dict[str, Any]) -> str:
    """A reason and its message."""
    return in_line(": ".join(str(part[key]) for key in ("reason", "message") if part.get(key)))
