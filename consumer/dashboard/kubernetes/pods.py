"""Reads the state of a pod from its document in the Kubernetes API."""

from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from consumer.dashboard.fleet import Instance

_ENDED = ("Succeeded", "Failed")
_MOST_CHARACTERS = 300
_SIGNAL_BASE = 128
"""The exit code of a process that a signal ended is this base plus the number of the signal."""


@dataclass(frozen=True)
class Pod:
    """The current state of a pod.

    Attributes:
        instance: the instance for the page.
        restarts: number of restarts of all containers.
        template: hash of the Deployment's pod template from which the pod was created; empty if
            unknown.
        disrupted: reason why the cluster evicts the pod; empty if it does not.
    """

    instance: Instance
    restarts: int = 0
    template: str = ""
    disrupted: str = ""

    @property
    def stays(self) -> bool:
        """Whether the pod has not ended and is not being deleted."""
        return self.instance.ended_s is None and not self.instance.leaving


def read_pod(document: dict[str, Any], memory_bytes: int | None, now_s: float) -> Pod:
    """Reads a pod.

    `why` of the instance also has the last failure of a container that was restarted.

    Args:
        document: a Pod, of version v1.
        memory_bytes: memory of the pod, in bytes; None if unknown.
        now_s: time of the request, in seconds since 1970.
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
    """Returns a text as one line of limited length."""
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
    """Returns the current or last terminated state; empty if the container never ended."""
    found = None
    for state in ("state", "lastState"):
        found = found or (container.get(state) or {}).get("terminated")
    return found or {}


def _why(
    status: dict[str, Any], conditions: dict[str, Any], containers: list[dict[str, Any]]
) -> str:
    """Returns current and earlier errors of a pod; empty if there are none."""
    if status.get("reason"):  # for example Evicted, NodeLost, OutOfmemory
        return _joined(status)
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return _joined(scheduled)
    errors = [(each["name"], _describe_error(each)) for each in containers]
    found = [(name, error) for name, error in errors if error]
    if len(containers) == 1:
        return "; ".join(error for _, error in found)
    return "; ".join(f"{name}: {error}" for name, error in found)


def _describe_error(container: dict[str, Any]) -> str:
    parts = []
    ended = _ended(container)
    if ended.get("exitCode"):
        times = container.get("restartCount", 0)
        again = f", restarted {times} time{'s' if times > 1 else ''}" if times else ""
        parts.append(f"{_describe_end(ended)}{again}")
    waiting = (container.get("state") or {}).get("waiting")
    if waiting:
        parts.append(_joined(waiting))
    return ", ".join(parts)


def _describe_end(terminated: dict[str, Any]) -> str:
    code = terminated["exitCode"]
    how = f"exit code {code}"
    with suppress(ValueError):
        how += f", {signal.Signals(code - _SIGNAL_BASE).name}"
    return f"{in_line(terminated.get('reason') or 'ended')} ({how})"


def _disrupted(condition: dict[str, Any]) -> str:
    if condition.get("status") != "True":
        return ""
    return in_line(f"evicted: {condition.get('message') or condition.get('reason')}")


def _joined(part: dict[str, Any]) -> str:
    """Returns a reason and its message as one line."""
    return in_line(": ".join(str(part[key]) for key in ("reason", "message") if part.get(key)))
