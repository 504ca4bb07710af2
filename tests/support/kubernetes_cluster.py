"""A cluster with a SeldonDeployment and its pods, which it replaces and scales."""

from __future__ import annotations

import copy
import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

Document = dict[str, Any]

NAMESPACE, NAME = "seldon", "kmnist"
_INTERVAL_S = 0.02


def timestamp(at_s: float) -> str:
    """Returns a time in the format of the API: whole seconds, UTC."""
    return datetime.fromtimestamp(at_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Cluster:
    """One namespace; it does the work of Seldon's operator, the Deployment and the kubelet.

    Its context manager runs a thread, and starts with ready pods. All documents are those of the
    API of Kubernetes 1.34. Tests may change pods with `changing`.

    Args:
        manifest: the SeldonDeployment.
        grace_s: the time that a pod takes to end, in seconds.
        ready_after_s: the time that a pod takes to become ready, in seconds.
    """

    def __init__(
        self, manifest: Document, *, grace_s: float = 0.2, ready_after_s: float = 0.05
    ) -> None:
        self.grace_s, self.ready_after_s = grace_s, ready_after_s
        self.pods: dict[str, Document] = {}
        self.unmanaged: set[str] = set()
        """Names of pods that only the test changes."""
        self.pods_for_lag = 1
        """The number of pods that an autoscaler would choose, before its limits."""
        self.template = "5d4f8c7b9"
        self.changed = threading.Condition(threading.RLock())
        self._manifest = copy.deepcopy(manifest)
        self._version = itertools.count(100)
        self._names = itertools.count(1)
        self._born: dict[str, float] = {}
        self._ends: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.store(self._manifest)

    def __enter__(self) -> Cluster:
        with self.changed:
            self._reconcile()
            for pod in self.pods.values():
                set_ready(pod, True)
                self._born[pod["metadata"]["name"]] -= self.ready_after_s
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def manifest(self) -> Document:
        """A copy of the SeldonDeployment."""
        with self.changed:
            return copy.deepcopy(self._manifest)

    @property
    def deployment(self) -> Document:
        """The Deployment that the operator creates from it."""
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": f"{NAME}-default-0-classifier",
                "namespace": NAMESPACE,
                "labels": {"seldon-deployment-id": NAME},
            },
            "spec": {"replicas": self.wanted},
        }

    @property
    def wanted(self) -> int:
        """The desired number of pods."""
        with self.changed:
            spec = self._manifest["spec"]
            predictor = spec["predictors"][0]
            component = predictor["componentSpecs"][0]
            keda, hpa = component.get("kedaSpec"), component.get("hpaSpec")
            if keda is not None:
                return self._within(
                    keda.get("minReplicaCount", 0), keda.get("maxReplicaCount", 100)
                )
            if hpa is not None:
                return self._within(hpa.get("minReplicas", 1), hpa["maxReplicas"])
            levels = (component, predictor, spec)
            found = [level["replicas"] for level in levels if level.get("replicas") is not None]
            return int(found[0]) if found else 1

    def store(self, manifest: Document) -> None:
        """Replaces the SeldonDeployment."""
        with self.changed:
            manifest["metadata"]["namespace"] = NAMESPACE
            manifest["metadata"]["resourceVersion"] = str(next(self._version))
            self._manifest = manifest
            self.changed.notify_all()

    @contextmanager
    def changing(self, name: str) -> Iterator[Document]:
        """Yields a pod that the test changes; the cluster no longer changes its state."""
        with self.changed:
            self.unmanaged.add(name)
            yield self.pods[name]
            self.changed.notify_all()

    def edit(self, change: Callable[[Document], object]) -> None:
        """Changes the SeldonDeployment, as another user would."""
        manifest = self.manifest
        change(manifest)
        self.store(manifest)

    def add(self, name: str, **labels: str) -> Document:
        """Starts a pod."""
        with self.changed:
            pod = new_pod(name, {**labels, "pod-template-hash": self.template})
            self.pods[name] = pod
            self._born[name] = time.time()
            self.changed.notify_all()
            return pod

    def delete(self, name: str, grace_s: float | None = None) -> Document:
        """Deletes a pod after a grace period, or at once if that is 0."""
        with self.changed:
            pod = self.pods[name]
            grace_s = self.grace_s if grace_s is None else grace_s
            if grace_s == 0:
                self._remove(name)
            else:
                end_s = min(time.time() + grace_s, self._ends.get(name, float("inf")))
                self._ends[name] = end_s
                pod["metadata"]["deletionTimestamp"] = timestamp(end_s)
            self.changed.notify_all()
            return pod

    def evict(self, name: str) -> None:
        """Evicts a pod, as a drain of its node would."""
        with self.changing(name) as pod:
            pod["status"]["conditions"].append(
                {
                    "type": "DisruptionTarget",
                    "status": "True",
                    "reason": "EvictionByEvictionAPI",
                    "message": "Eviction API: evicting",
                }
            )
        self.delete(name)

    def run_out_of_memory(self, name: str) -> None:
        """Ends a pod's container as the kernel would, and restarts it."""
        with self.changing(name) as pod:
            container = pod["status"]["containerStatuses"][0]
            container["restartCount"] += 1
            container["lastState"] = {
                "terminated": {
                    "exitCode": 137,
                    "reason": "OOMKilled",
                    "startedAt": timestamp(time.time() - 5),
                    "finishedAt": timestamp(time.time()),
                }
            }
            container["state"] = {
                "waiting": {
                    "reason": "CrashLoopBackOff",
                    "message": f"back-off 10s restarting failed container=classifier pod={name}",
                }
            }
            set_ready(pod, False)

    def roll_out(self, template: str) -> None:
        """Replaces all pods by those of another version; new pods start before old ones end."""
        with self.changed:
            self.template = template
            old = [name for name, pod in self.pods.items() if _is_ours(pod)]
            for _ in old:
                self._start()
            for name in old:
                self.delete(name)

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            with self.changed:
                self._reconcile()

    def _reconcile(self) -> None:
        now_s = time.time()
        for name, end_s in list(self._ends.items()):
            if end_s <= now_s:
                self._remove(name)
        ours = [pod for pod in self.pods.values() if _is_ours(pod) and not _is_leaving(pod)]
        for pod in ours[self.wanted :]:
            self.delete(pod["metadata"]["name"])
        for _ in range(self.wanted - len(ours)):
            self._start()
        for name, pod in self.pods.items():
            if name not in self.unmanaged and now_s >= self._born[name] + self.ready_after_s:
                set_ready(pod, not _is_leaving(pod))

    def _start(self) -> None:
        name = f"{NAME}-default-0-classifier-{self.template}-{next(self._names):05}"
        self.add(name, **{"seldon-deployment-id": NAME, "seldon-app": f"{NAME}-default"})

    def _remove(self, name: str) -> None:
        del self.pods[name]
        self._ends.pop(name, None)
        self.changed.notify_all()

    def _within(self, least: int, most: int) -> int:
        return min(max(least, self.pods_for_lag), most)


def set_ready(pod: Document, ready: bool) -> None:
    """Sets whether a pod is ready."""
    for condition in pod["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition["status"] = str(ready)


def new_pod(name: str, labels: dict[str, str]) -> Document:
    """Returns the document of a new pod."""
    now_s = time.time()
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": timestamp(now_s),
            "labels": labels,
        },
        "spec": {"containers": [{"name": "classifier"}]},
        "status": {
            "phase": "Running",
            "startTime": timestamp(now_s),
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
            ],
            "containerStatuses": [
                {
                    "name": "classifier",
                    "restartCount": 0,
                    "state": {"running": {"startedAt": timestamp(now_s)}},
                    "lastState": {},
                }
            ],
        },
    }


def _is_ours(pod: Document) -> bool:
    ended = pod["status"]["phase"] in ("Succeeded", "Failed")
    return not ended and pod["metadata"]["labels"].get("seldon-deployment-id") == NAME


def _is_leaving(pod: Document) -> bool:
    return "deletionTimestamp" in pod["metadata"]
