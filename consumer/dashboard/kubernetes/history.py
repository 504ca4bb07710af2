"""Compares snapshots of pods, and keeps their events and the causes of their ends."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from consumer.dashboard.fleet import Instance, WorkerEvent
from consumer.dashboard.kubernetes.pods import Pod, in_line

_KEPT_S = 120.0
_EVENTS_KEPT = 200


class History:
    """Keeps pods for a while after their end, with the cause if it is known.

    The Kubernetes API itself does not list a pod that was deleted. Methods may be called from
    several threads.
    """

    def __init__(self) -> None:
        self._pods: dict[str, Pod] | None = None
        self._causes: dict[str, str] = {}
        self._ended: dict[str, Instance] = {}
        self._events: deque[WorkerEvent] = deque(maxlen=_EVENTS_KEPT)
        self._number = 0
        self._lock = threading.RLock()

    def expect_end(self, identity: str, cause: str) -> None:
        """Stores the cause of a pod's end, before the page requests the end."""
        with self._lock:
            self._causes[identity] = cause

    def cancel_expected_end(self, identity: str) -> None:
        """Removes the cause that `expect_end` has stored, after the request failed."""
        with self._lock:
            self._causes.pop(identity, None)

    def instances(self) -> tuple[Instance, ...]:
        """Returns the running instances, oldest first, then the ended instances, latest first."""
        with self._lock:
            running = [
                self._with_cause(pod.instance)
                for pod in (self._pods or {}).values()
                if pod.instance.ended_s is None
            ]
            running.sort(key=lambda each: (each.started_s, each.name))
            ended = sorted(self._ended.values(), key=lambda each: -(each.ended_s or 0))
            return (*running, *ended)

    def events(self) -> tuple[WorkerEvent, ...]:
        """Returns the latest events, in order."""
        with self._lock:
            return tuple(self._events)

    def update(self, pods: Iterable[Pod], wanted: int, now_s: float) -> None:
        """Adds a snapshot; changes since the previous snapshot become events.

        Args:
            pods: all pods that the API lists.
            wanted: desired number of pods.
            now_s: time of the snapshot, in seconds since 1970.
        """
        with self._lock:
            present = {pod.instance.identity: pod for pod in pods}
            before = present if self._pods is None else self._pods
            surplus = sum(pod.stays for pod in before.values()) - wanted
            for identity in sorted(before.keys() | present.keys()):
                was, now = before.get(identity), present.get(identity)
                if was is not None and was.stays and not (now and now.stays):
                    cause = _cause(now or was, present, surplus > 0)
                    self._causes.setdefault(identity, cause)
                    surplus -= 1
                self._compare(was, now, now_s)
            if self._pods is None:
                self._ended = {
                    identity: pod.instance
                    for identity, pod in present.items()
                    if pod.instance.ended_s is not None
                }
            self._pods = present
            self._remove_old(now_s)

    def _compare(self, was: Pod | None, now: Pod | None, now_s: float) -> None:
        """Adds events for the changes of one pod."""
        if now is None:
            assert was is not None
            if was.instance.ended_s is None:
                self._end(was.instance, now_s)
            return
        instance = now.instance
        if was is None:
            self._add_event(instance, "started", now_s)
        elif now.restarts > was.restarts:
            self._add_event(instance, "started", now_s, instance.why)
        if instance.ended_s is not None:
            if was is None or was.instance.ended_s is None:
                self._end(instance, instance.ended_s)
            return
        if instance.ready and not (was and was.instance.ready):
            self._add_event(instance, "ready", now_s)
        if instance.leaving and not (was and was.instance.leaving):
            self._add_event(instance, "leaving", now_s, self._causes.get(instance.identity, ""))

    def _end(self, instance: Instance, ended_s: float) -> None:
        cause = self._causes.get(instance.identity, "")
        why = instance.why
        if cause and why:
            why = f"{cause}; before that {why}"
        gone = replace(
            instance,
            ready=False,
            leaving=False,
            ended_s=ended_s,
            why=in_line(why or cause),
            memory_bytes=None,
        )
        self._ended[instance.identity] = gone
        self._add_event(gone, "gone", ended_s, gone.why)

    def _with_cause(self, instance: Instance) -> Instance:
        cause = self._causes.get(instance.identity, "") if instance.leaving else ""
        return replace(instance, why=cause) if cause else instance

    def _add_event(self, instance: Instance, what: str, at_s: float, why: str = "") -> None:
        self._number += 1
        self._events.append(WorkerEvent(self._number, at_s, instance.name, what, why))

    def _remove_old(self, now_s: float) -> None:
        known = self._pods or {}
        for identity in self._causes.keys() - known.keys():
            del self._causes[identity]
        for identity, instance in list(self._ended.items()):
            if (instance.ended_s or 0) < now_s - _KEPT_S:
                del self._ended[identity]


def _cause(pod: Pod, present: dict[str, Pod], too_many: bool) -> str:
    """Returns the cause of a pod's end; empty if the pod ended by itself.

    Args:
        pod: the pod.
        present: all pods of the snapshot, by identity.
        too_many: whether there were more pods than desired.
    """
    if pod.disrupted:
        return pod.disrupted
    if pod.instance.ended_s is not None:
        return ""  # `Instance.why` has the reason
    if any(_supersedes(other, pod) for other in present.values()):
        return "replaced by a newer version"
    return "scaled in" if too_many else "deleted"


def _supersedes(other: Pod, pod: Pod) -> bool:
    return (
        other.stays
        and other.template != pod.template
        and other.instance.started_s > pod.instance.started_s
    )
