"""What became of pods from one look at them to the next."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from consumer.dashboard.fleet import Happening, Instance
from consumer.dashboard.kubernetes.pods import Pod, in_line

_KEPT_S = 120.0
_HAPPENINGS_KEPT = 200


class History:
    """Remembers pods for a while after their end, and tells why they went, as far as can be known.

    The API itself forgets a pod as soon as it is gone. Safe to use from several threads.
    """

    def __init__(self) -> None:
        """Start with no pod known."""
        self._pods: dict[str, Pod] | None = None
        self._causes: dict[str, str] = {}
        self._ended: dict[str, Instance] = {}
        self._happenings: deque[Happening] = deque(maxlen=_HAPPENINGS_KEPT)
        self._number = 0
        self._lock = threading.RLock()

    def intend(self, identity: str, purpose: str) -> None:
        """Take in that a pod is about to be ended by ourselves."""
        with self._lock:
            self._causes[identity] = purpose

    def relent(self, identity: str) -> None:
        """Take in that it was not ended after all."""
        with self._lock:
            self._causes.pop(identity, None)

    def instances(self) -> tuple[Instance, ...]:
        """Those that run, the oldest first, then those that ended lately, the latest first."""
        with self._lock:
            running = [
                self._with_cause(pod.instance)
                for pod in (self._pods or {}).values()
                if pod.instance.ended_s is None
            ]
            running.sort(key=lambda each: (each.started_s, each.name))
            ended = sorted(self._ended.values(), key=lambda each: -(each.ended_s or 0))
            return (*running, *ended)

    def happenings(self) -> tuple[Happening, ...]:
        """The latest, in order."""
        with self._lock:
            return tuple(self._happenings)

    def update(self, pods: Iterable[Pod], wanted: int, now_s: float) -> None:
        """Take in how things stand.

        What runs at the first look is no news; from then on everything that changes is.

        Args:
            pods: All that the API lists.
            wanted: How many there are to be.
            now_s: When they were listed, in seconds since 1970.
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
            self._forget(now_s)

    def _compare(self, was: Pod | None, now: Pod | None, now_s: float) -> None:
        """Tells what changed about one pod."""
        if now is None:
            assert was is not None
            if was.instance.ended_s is None:
                self._end(was.instance, now_s)
            return
        instance = now.instance
        if was is None:
            self._tell(instance, "started", now_s)
        elif now.restarts > was.restarts:
            self._tell(instance, "started", now_s, instance.why)
        if instance.ended_s is not None:
            if was is None or was.instance.ended_s is None:
                self._end(instance, instance.ended_s)
            return
        if instance.ready and not (was and was.instance.ready):
            self._tell(instance, "ready", now_s)
        if instance.leaving and not (was and was.instance.leaving):
            self._tell(instance, "leaving", now_s, self._causes.get(instance.identity, ""))

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
        self._tell(gone, "gone", ended_s, gone.why)

    def _with_cause(self, instance: Instance) -> Instance:
        cause = self._causes.get(instance.identity, "") if instance.leaving else ""
        return replace(instance, why=cause) if cause else instance

    def _tell(self, instance: Instance, what: str, at_s: float, why: str = "") -> None:
        self._number += 1
        self._happenings.append(Happening(self._number, at_s, instance.name, what, why))

    def _forget(self, now_s: float) -> None:
        known = self._pods or {}
        for identity in self._causes.keys() - known.keys():
            del self._causes[identity]
        for identity, instance in list(self._ended.items()):
            if (instance.ended_s or 0) < now_s - _KEPT_S:
                del self._ended[identity]


def _cause(pod: Pod, present: dict[str, Pod], too_many: bool) -> str:
    """Why a pod goes; `too_many` if there were more than there are to be."""
    if pod.disrupted:
        return pod.disrupted
    if pod.instance.ended_s is not None:
        return ""  # it went by itself, and says why
    if any(_supersedes(other, pod) for other in present.values()):
        return "replaced by a newer version"
    return "scaled in" if too_many else "deleted"


def _supersedes(other: Pod, pod: Pod) -> bool:
    return (
        other.stays
        and other.template != pod.template
        and other.instance.started_s > pod.instance.started_s
    )
