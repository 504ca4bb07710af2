"""The backend for workers that run as pods of a SeldonDeployment."""

from __future__ import annotations

import json
import random
import re
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from consumer.dashboard.fleet import Action, Fleet, FleetError, Instance, Output, Scaling
from consumer.dashboard.kubernetes.api import JSON_PATCH, Api, RequestRefused
from consumer.dashboard.kubernetes.history import History
from consumer.dashboard.kubernetes.memory import Memory
from consumer.dashboard.kubernetes.pods import Pod, read_pod
from consumer.dashboard.kubernetes.scaling import MOST_PODS, patch, read_scaling

_GROUP = "machinelearning.seldon.io"
_STATUS_PORT = 8080
_MOST_BYTES = 8 * 2**20
_UNKNOWN: Mapping[str, int] = {}
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,61}[a-z0-9])?")


class KubernetesBackend:
    """Reads and controls the pods of a SeldonDeployment; safe to use from several threads.

    The constructor reads the kubeconfig or the service account, and sends no request.

    Args:
        namespace: namespace of the SeldonDeployment.
        name: name of the SeldonDeployment.
        context: name of a context in the kubeconfig; None for its current context.

    Raises:
        FleetError: a name is invalid, or there is no usable configuration.
    """

    def __init__(self, namespace: str, name: str, context: str | None = None) -> None:
        for each in (namespace, name):
            if not _NAME.fullmatch(each):
                raise FleetError(f"{each!r} is no name: up to 63 of a-z, 0-9, - and . are allowed")
        self._namespace, self._name, self._context = namespace, name, context
        self._api = Api(context)
        self._history = History()
        self._memory = Memory(self._metrics)
        self._manifest: dict[str, Any] | None = None
        self._snapshot_lock = threading.Lock()

    def close(self) -> None:
        """Closes all connections."""
        self._api.close()

    @property
    def location(self) -> str:
        """Namespace and name of the SeldonDeployment, and the URL of the API server."""
        return f"{self._namespace}/{self._name} on {self._api.server}"

    def snapshot(self) -> Fleet:
        """Returns a snapshot of the pods and their scaling.

        Raises:
            FleetError: the API server does not answer or refuses a request, or there is no
                SeldonDeployment.
        """
        # Only one thread at a time requests a list and adds it to the history. If an older list
        # followed a newer one, the history would have false events.
        with self._snapshot_lock:
            manifest = self._manifest = self._read_manifest()
            pods = self._pods(self._memory.by_pod())
            # The desired number is requested after the pods, so that it is not older than their
            # list. An older number would not show that a missing pod was scaled in.
            wanted = self._wanted()
            self._history.update(pods, wanted, time.time())
        scaling = read_scaling(manifest, wanted)
        return Fleet(
            instances=self._history.instances(),
            scaling=scaling,
            wanted=wanted,
            modes=(scaling.mode,),
            events=self._history.events(),
        )

    def fetch(self, instance: Instance, path: str) -> bytes:
        """Requests a path of a pod's supervisor, through the proxy of the API server.

        Raises:
            FleetError: there is no answer with status 200 within three seconds, or it has more than
                8 MiB.
        """
        inside = quote(path.partition("?")[0].lstrip("/"))
        if ".." in inside.split("/"):
            raise FleetError(f"{path} leads out of the pod")
        at = f"{self._pod_path(instance.name)}:{_STATUS_PORT}/proxy/{inside}"
        reply = self._api.send("GET", at, short_timeout=True, most_bytes=_MOST_BYTES)
        if reply.status == 200:
            return reply.content
        if (reply.document or {}).get("kind") == "Status":  # from the API server, not the pod
            raise self._api.refusal(reply, "get pods/proxy")
        raise FleetError(f"{instance.name}: {path} has status {reply.status}")

    def stop(self, name: str) -> Action:
        """Returns the action that stops a pod after its current batch."""
        return self._deletion(name)

    def kill(self, name: str) -> Action:
        """Returns the action that kills a pod."""
        return self._deletion(name, forced=True)

    def kill_random(self) -> Action:
        """Returns the action that kills any one pod."""
        try:
            pods = [pod.instance for pod in self._pods() if pod.stays]
        except FleetError as error:
            return self._refusal(str(error), *self._listing())
        if not pods:
            return self._refusal(f"there is no pod of {self.location}", *self._listing())
        return self.kill(random.choice(pods).name)  # noqa: S311 - no secret depends on it

    def scale(self, scaling: Scaling) -> Action:
        """Returns the action that sets the desired number of pods.

        The action fails if another user has changed the scaling since the latest snapshot.
        """
        try:
            operations = patch(self._manifest or self._read_manifest(), scaling)
        except FleetError as error:
            return self._refusal(str(error), "edit", "sdep", self._name)
        text = json.dumps(operations, separators=(",", ":"))
        command = self._kubectl("patch", "sdep", self._name, "--type", "json", "-p", text)
        return Action(command, partial(_run, partial(self._patch, operations)))

    def _deletion(self, name: str, forced: bool = False) -> Action:
        flags = ("--grace-period=0", "--force") if forced else ()
        # A name that starts with a dash is invalid, and must not become an option of kubectl.
        pod = (f"pod/{name}",) if name.startswith("-") else ("pod", name)
        command = self._kubectl("delete", *pod, *flags)
        return Action(command, partial(_run, partial(self._delete, name, forced)))

    def _refusal(self, why: str, *arguments: str) -> Action:
        """Returns an action that only writes an error.

        Args:
            why: the error.
            arguments: arguments of the kubectl command that shows details.
        """

        def refuse(output: Output) -> int:
            output(why)
            return 1

        return Action(self._kubectl(*arguments), refuse)

    def _delete(self, name: str, forced: bool) -> str:
        found = [pod.instance for pod in self._pods() if pod.instance.name == name]
        if not found:
            raise FleetError(f'there is no pod "{name}" of {self.location}')
        identity = found[0].identity
        # A later pod may have the same name. With this condition, the server does not delete it.
        options: dict[str, Any] = {"preconditions": {"uid": identity}}
        if forced:
            options["gracePeriodSeconds"] = 0
        self._history.expect_end(identity, "killed on purpose" if forced else "stopped on purpose")
        try:
            self._api.call("DELETE", self._pod_path(name), "delete pods", body=options)
        except FleetError:
            self._history.cancel_expected_end(identity)
            raise
        return f'pod "{name}" {"force " if forced else ""}deleted'

    def _patch(self, operations: list[dict[str, Any]]) -> str:
        try:
            self._manifest = self._api.call(
                "PATCH",
                self._manifest_path(),
                "patch seldondeployments",
                body=operations,
                content_type=JSON_PATCH,
            )
        except RequestRefused as error:
            # The API server answers a failed `test` operation with 409 or 422. It also answers 422
            # if the patched manifest is invalid, and then says so.
            if error.status == 409 or (error.status == 422 and " is invalid" not in str(error)):
                raise FleetError(
                    f"another user changed {self.location} meanwhile: check it, and try again"
                ) from error
            raise
        return f"seldondeployment.{_GROUP}/{self._name} patched"

    def _read_manifest(self) -> dict[str, Any]:
        try:
            return self._api.call("GET", self._manifest_path(), "get seldondeployments")
        except RequestRefused as error:
            if error.status != 404:
                raise
            raise FleetError(
                f"there is no SeldonDeployment {self.location}; "
                f"see `{self._kubectl('get', 'sdep')}`, and whether Seldon Core is installed"
            ) from error

    def _wanted(self) -> int:
        deployments = self._list("/apis/apps/v1", "deployments")
        return sum(each["spec"].get("replicas", 1) for each in deployments)

    def _pods(self, memory: Mapping[str, int] = _UNKNOWN) -> list[Pod]:
        documents = self._list("/api/v1", "pods")
        now_s = time.time()
        return [read_pod(each, memory.get(each["metadata"]["name"]), now_s) for each in documents]

    def _metrics(self) -> list[dict[str, Any]]:
        return self._list("/apis/metrics.k8s.io/v1beta1", "pods", short_timeout=True)

    def _list(self, group: str, kind: str, short_timeout: bool = False) -> list[dict[str, Any]]:
        """Returns all objects of a kind that belong to the SeldonDeployment."""
        answer = self._api.call(
            "GET",
            f"{group}/namespaces/{self._namespace}/{kind}",
            f"list {kind}",
            query={"labelSelector": self._selector(), "limit": str(MOST_PODS)},
            short_timeout=short_timeout,
        )
        return answer.get("items") or []

    def _listing(self) -> tuple[str, ...]:
        return ("get", "pods", "--selector", self._selector())

    def _selector(self) -> str:
        return f"seldon-deployment-id={self._name}"

    def _manifest_path(self) -> str:
        return f"/apis/{_GROUP}/v1/namespaces/{self._namespace}/seldondeployments/{self._name}"

    def _pod_path(self, name: str) -> str:
        if name in ("", ".", ".."):
            raise FleetError(f"{name!r} is no pod's name")
        return f"/api/v1/namespaces/{self._namespace}/pods/{quote(name, safe='')}"

    def _kubectl(self, *arguments: str) -> str:
        context = ("--context", self._context) if self._context is not None else ()
        return shlex.join(["kubectl", "--namespace", self._namespace, *context, *arguments])


def _run(operation: Callable[[], str], output: Output) -> int:
    """Runs an operation, writes its result or its error, and returns the exit status."""
    try:
        output(operation())
    except FleetError as error:
        output(str(error))
        return 1
    return 0
