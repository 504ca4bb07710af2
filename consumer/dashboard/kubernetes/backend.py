"""The dashboard's workers as pods of a SeldonDeployment."""

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

from consumer.dashboard.fleet import Action, Fleet, FleetError, Instance, Say, Scaling
from consumer.dashboard.kubernetes.api import JSON_PATCH, Api, Refused
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
    """The pods of a SeldonDeployment; see `consumer.dashboard.fleet.Backend`.

    Safe to use from several threads.
    """

    def __init__(self, namespace: str, name: str, context: str | None = None) -> None:
        """Find the cluster; nothing is asked of it yet.

        Args:
            namespace: That the SeldonDeployment is in.
            name: Of the SeldonDeployment.
            context: Of the kubeconfig; its current one if None.

        Raises:
            FleetError: A name can't be one, or no usable configuration is found.
        """
        for each in (namespace, name):
            if not _NAME.fullmatch(each):
                raise FleetError(f"{each!r} is no name: a-z, 0-9, - and at most 63 of them")
        self._namespace, self._name, self._context = namespace, name, context
        self._api = Api(context)
        self._history = History()
        self._memory = Memory(self._metrics)
        self._manifest: dict[str, Any] | None = None
        self._looking = threading.Lock()

    def close(self) -> None:
        """Let go of all connections."""
        self._api.close()

    @property
    def place(self) -> str:
        """Which SeldonDeployment, on which server."""
        return f"{self._namespace}/{self._name} on {self._api.server}"

    def look(self) -> Fleet:
        """How things stand.

        By hand, the minimum and maximum of the scaling are its count; its lag is 0 where
        something else than lag decides.

        Raises:
            FleetError: The API does not say; the message tells what to do.
        """
        # One after another: an older list after a newer one would make pods come and go.
        with self._looking:
            manifest = self._manifest = self._read_manifest()
            pods = self._pods(self._memory.by_pod())
            # After the pods: of one that was scaled in it is known then that it was too many.
            wanted = self._wanted()
            self._history.update(pods, wanted, time.time())
        scaling = read_scaling(manifest, wanted)
        return Fleet(
            instances=self._history.instances(),
            scaling=scaling,
            wanted=wanted,
            modes=(scaling.mode,),
            happenings=self._history.happenings(),
        )

    def fetch(self, instance: Instance, path: str) -> bytes:
        """Gets a path of a pod's supervisor, through the API server.

        Raises:
            FleetError: It does not answer with status 200 within three seconds, or with more
                than 8 MiB.
        """
        inside = quote(path.partition("?")[0].lstrip("/"))
        if ".." in inside.split("/"):
            raise FleetError(f"{path} leads out of the pod")
        at = f"{self._pod_path(instance.name)}:{_STATUS_PORT}/proxy/{inside}"
        reply = self._api.send("GET", at, hasty=True, most_bytes=_MOST_BYTES)
        if reply.status == 200:
            return reply.content
        if (reply.document or {}).get("kind") == "Status":  # it is the API server that says no
            raise self._api.refusal(reply, "get pods/proxy")
        raise FleetError(f"{instance.name}: {path} says {reply.status}")

    def stop(self, name: str) -> Action:
        """Lets a pod finish and leave."""
        return self._deletion(name)

    def kill(self, name: str) -> Action:
        """Ends a pod at once."""
        return self._deletion(name, forced=True)

    def kill_random(self) -> Action:
        """Ends any one pod at once."""
        try:
            pods = [pod.instance for pod in self._pods() if pod.stays]
        except FleetError as error:
            return self._refusal(str(error), *self._listing())
        if not pods:
            return self._refusal(f"there is no pod of {self.place}", *self._listing())
        return self.kill(random.choice(pods).name)  # noqa: S311 - no secret depends on it

    def scale(self, scaling: Scaling) -> Action:
        """Sets how many there are to be, unless somebody else did so after the latest look."""
        try:
            operations = patch(self._manifest or self._read_manifest(), scaling)
        except FleetError as error:
            return self._refusal(str(error), "edit", "sdep", self._name)
        text = json.dumps(operations, separators=(",", ":"))
        command = self._kubectl("patch", "sdep", self._name, "--type", "json", "-p", text)
        return Action(command, partial(_run, partial(self._patch, operations)))

    def _deletion(self, name: str, forced: bool = False) -> Action:
        flags = ("--grace-period=0", "--force") if forced else ()
        # A name can't begin with a dash; if one does, it must not be taken for an option.
        pod = (f"pod/{name}",) if name.startswith("-") else ("pod", name)
        command = self._kubectl("delete", *pod, *flags)
        return Action(command, partial(_run, partial(self._delete, name, forced)))

    def _refusal(self, why: str, *arguments: str) -> Action:
        """What can't be done, with the command that shows more."""

        def refuse(say: Say) -> int:
            say(why)
            return 1

        return Action(self._kubectl(*arguments), refuse)

    def _delete(self, name: str, forced: bool) -> str:
        found = [pod.instance for pod in self._pods() if pod.instance.name == name]
        if not found:
            raise FleetError(f'there is no pod "{name}" of {self.place}')
        identity = found[0].identity
        # Its successor may have its name.
        options: dict[str, Any] = {"preconditions": {"uid": identity}}
        if forced:
            options["gracePeriodSeconds"] = 0
        self._history.intend(identity, "killed on purpose" if forced else "stopped on purpose")
        try:
            self._api.ask("DELETE", self._pod_path(name), "delete pods", body=options)
        except FleetError:
            self._history.relent(identity)
            raise
        return f'pod "{name}" {"force " if forced else ""}deleted'

    def _patch(self, operations: list[dict[str, Any]]) -> str:
        try:
            self._manifest = self._api.ask(
                "PATCH",
                self._manifest_path(),
                "patch seldondeployments",
                body=operations,
                content_type=JSON_PATCH,
            )
        except Refused as error:
            # A test that fails is the request's error to the API server.
            if error.status == 409 or (error.status == 422 and " is invalid" not in str(error)):
                raise FleetError(
                    f"somebody else changed {self.place} meanwhile: look again, and repeat"
                ) from error
            raise
        return f"seldondeployment.{_GROUP}/{self._name} patched"

    def _read_manifest(self) -> dict[str, Any]:
        try:
            return self._api.ask("GET", self._manifest_path(), "get seldondeployments")
        except Refused as error:
            if error.status != 404:
                raise
            raise FleetError(
                f"there is no SeldonDeployment {self.place}; "
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
        return self._list("/apis/metrics.k8s.io/v1beta1", "pods", hasty=True)

    def _list(self, group: str, kind: str, hasty: bool = False) -> list[dict[str, Any]]:
        """All objects of a kind that belong to the SeldonDeployment."""
        answer = self._api.ask(
            "GET",
            f"{group}/namespaces/{self._namespace}/{kind}",
            f"list {kind}",
            query={"labelSelector": self._selector(), "limit": str(MOST_PODS)},
            hasty=hasty,
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


def _run(does: Callable[[], str], say: Say) -> int:
    """Does something, and says how it went."""
    try:
        say(does())
    except FleetError as error:
        say(str(error))
        return 1
    return 0
