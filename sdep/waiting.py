"""Waiting until what was applied works, or knowing why it does not."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sdep.kubectl import Kubectl, Trouble

_STATUS_PORT = 8080
_LOOK_S = 1.0
# Kubernetes tries these again for ever; nothing but another image or another manifest mends them.
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_NO_CONTAINER = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")


def await_pods(kubectl: Kubectl, manifest: dict[str, Any], give_up_at: float) -> None:
    """Waits until a SeldonDeployment's pods are as it says, and ready.

    Raises:
        Trouble: they can't become so, or do not before `give_up_at` (of `time.monotonic`).
    """
    name, space = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    looks: list[_Look] = []

    def look() -> _State:
        looks[:] = _look(kubectl, manifest)
        return _State("; ".join(map(str, looks)), all(look.is_done for look in looks))

    def why() -> str:
        unscaled = [look.name for look in looks if look.is_rolled_out and not look.is_scaled]
        if unscaled:
            return (
                f"nothing scales {unscaled[0]}: Seldon's operator makes a ScaledObject only when "
                "it was installed with keda.enabled=true"
            )
        return _why(kubectl, name, space, [pod for look in looks for pod in look.pods])

    _await(look, why, give_up_at)
    if not any(look.wanted for look in looks):
        sys.stdout.write("the autoscaler starts a pod when messages come\n")


class _State(NamedTuple):
    """How something stands: in words, and whether it is as it should be."""

    words: str
    is_done: bool


def _await(look: Callable[[], _State], why: Callable[[], str], give_up_at: float) -> None:
    """Looks until it is done, and says each change.

    Raises:
        Trouble: it is not done in time; `why` says more.
    """
    said = ""
    while True:
        now = look()
        if now.words != said:
            sys.stdout.write(now.words + "\n")
            sys.stdout.flush()
            said = now.words
        if now.is_done:
            return
        if time.monotonic() > give_up_at:
            raise Trouble(f"{now.words}; {why()}")
        time.sleep(_LOOK_S)


@dataclass(frozen=True)
class _Look:
    """How a predictor stands.

    Attributes:
        name: of its pods, as they begin.
        wanted: how many of them there are to be at least.
        pods: those that are as the manifest says now.
        is_rolled_out: Seldon's operator and Kubernetes have done what it says.
        is_scaled: something scales them by lag, or is not asked to.
    """

    name: str
    wanted: int
    pods: list[dict[str, Any]]
    is_rolled_out: bool
    is_scaled: bool

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.is_rolled_out and self.is_scaled and self._ready >= self.wanted

    @property
    def _ready(self) -> int:
        return sum(map(is_ready, self.pods))

    def __str__(self) -> str:
        return f"{self.name}: {self._ready} of {self.wanted} pods ready"


def _look(kubectl: Kubectl, manifest: dict[str, Any]) -> list[_Look]:
    """How each predictor stands."""
    name, space = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    predictors = manifest["spec"]["predictors"]
    label = f"seldon-deployment-id={name}"
    made, pods = (
        [
            each
            for each in kubectl.list(kind, "-n", space, "-l", label)
            if "deletionTimestamp" not in each["metadata"]
        ]
        for kind in ("deployments", "pods")
    )
    scaled: list[str] = []
    if any(map(_has_keda, predictors)):
        scalers = kubectl.list("scaledobjects.keda.sh", "-n", space)
        scaled = [each["spec"]["scaleTargetRef"]["name"] for each in scalers]
    return [_look_at(kubectl, name, each, made, pods, scaled) for each in predictors]


def _look_at(
    kubectl: Kubectl,
    name: str,
    predictor: dict[str, Any],
    made: list[dict[str, Any]],
    pods: list[dict[str, Any]],
    scaled: list[str],
) -> _Look:
    begin = f"{name}-{predictor['name']}-"
    made, pods = (
        [each for each in found if each["metadata"]["name"].startswith(begin)]
        for found in (made, pods)
    )
    # The operator takes a moment; and pods of before go on until there are others.
    pods = [pod for pod in pods if agrees(pod["spec"], predictor)]
    for pod in pods:
        _check_pod(kubectl, pod)
    is_rolled_out = bool(made) and all(
        agrees(each["spec"]["template"]["spec"], predictor) and _has_only_new_pods(each)
        for each in made
    )
    is_scaled = not _has_keda(predictor) or any(each.startswith(begin) for each in scaled)
    return _Look(begin.rstrip("-"), _wanted(predictor), pods, is_rolled_out, is_scaled)


def _has_keda(predictor: dict[str, Any]) -> bool:
    return "kedaSpec" in predictor["componentSpecs"][0]


def agrees(spec: dict[str, Any], predictor: dict[str, Any]) -> bool:
    """Whether a pod is as a predictor says: images, configurations, and variables with a value."""
    there = {each["name"]: each for each in spec["containers"]}
    for wanted in predictor["componentSpecs"][0]["spec"]["containers"]:
        found = there.get(wanted["name"], {})
        if found.get("image") != wanted["image"] or not _has(found, wanted):
            return False
    engine = predictor.get("svcOrchSpec", {})
    return "env" not in engine or _has(there.get("seldon-container-engine", {}), engine)


def _has(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a container has the variables that another one is to have."""
    sources = [each.get("configMapRef", {}).get("name") for each in found.get("envFrom", [])]
    variables = {each["name"]: _source(each) for each in found.get("env", [])}
    return all(
        each.get("configMapRef", {}).get("name") in sources for each in wanted.get("envFrom", [])
    ) and all(variables.get(each["name"]) == _source(each) for each in wanted.get("env", []))


def _source(variable: dict[str, Any]) -> tuple[str, ...]:
    """Where a variable's value comes from, without what the API server fills in."""
    if "valueFrom" not in variable:
        return (str(variable.get("value", "")),)
    ((kind, where),) = variable["valueFrom"].items()
    return kind, *(str(where.get(key, "")) for key in ("name", "key", "fieldPath"))


def _wanted(predictor: dict[str, Any]) -> int:
    """How many pods a predictor has at least."""
    (component,) = predictor["componentSpecs"]
    if "kedaSpec" in component:
        return int(component["kedaSpec"].get("minReplicaCount", 0))
    if "hpaSpec" in component:
        return int(component["hpaSpec"].get("minReplicas", 1))
    return int(predictor.get("replicas", 1))


def _has_only_new_pods(found: dict[str, Any]) -> bool:
    status = found.get("status", {})
    return bool(
        status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
    )


def is_ready(found: dict[str, Any]) -> bool:
    """Whether an object says that it is ready."""
    conditions = found.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _check_pod(kubectl: Kubectl, pod: dict[str, Any]) -> None:
    name, space = pod["metadata"]["name"], pod["metadata"]["namespace"]
    for container in pod.get("status", {}).get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting", {})
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in _NO_IMAGE:
            raise Trouble(
                f"the image {container['image']} can't be had ({reason}: {message}); push it "
                "(`docker push`), load it into kind (`kind load docker-image`), or name another "
                "with --image"
            )
        if reason in _NO_CONTAINER:
            raise Trouble(f"{name} can't be started ({reason}: {message})")
        if reason == "CrashLoopBackOff":
            log = kubectl.run(
                "logs", name, "-n", space, "-c", container["name"], "--previous", "--tail=5"
            )
            raise Trouble(f"{name} ends again and again; it says last:\n{log.rstrip()}")


def _why(kubectl: Kubectl, name: str, space: str, pods: list[dict[str, Any]]) -> str:
    """Why it does not become ready, by whoever knows."""
    for pod in pods:
        if is_ready(pod):
            continue
        for each in pod.get("status", {}).get("conditions", []):
            if each["type"] == "PodScheduled" and each["status"] == "False":
                return f"{pod['metadata']['name']} has no node: {each.get('message', '')}"
        path = f"/api/v1/namespaces/{space}/pods/{pod['metadata']['name']}:{_STATUS_PORT}/proxy"
        return f"{pod['metadata']['name']} is not ready: {_said_by(kubectl.raw(path + '/status'))}"
    found = kubectl.get("seldondeployment", name, "-n", space) or {}
    described = found.get("status", {}).get("description", "")
    return described or "Seldon's operator has done nothing: does it run?"


def _said_by(status: str) -> str:
    """What a supervisor's `/status` says of its workers; the text itself if it is none."""
    try:
        workers = json.loads(status)["workers"]
    except (ValueError, KeyError):
        return status
    said = [f"worker {each['index']}: {each['detail'] or each['state']}" for each in workers]
    return "; ".join(said) or "its workers have not started"


def await_deployment(kubectl: Kubectl, manifest: dict[str, Any], give_up_at: float) -> None:
    """Waits until a Deployment's pods are available.

    Raises:
        Trouble: they are not in time.
    """
    name, space = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    wanted = manifest["spec"].get("replicas", 1)

    def look() -> _State:
        found = kubectl.get("deployment", name, "-n", space) or {"metadata": {"generation": 1}}
        ready = found.get("status", {}).get("availableReplicas", 0)
        is_done = _has_only_new_pods(found) and ready >= wanted
        return _State(f"{name}: {ready} of {wanted} pods ready", is_done)

    _await(look, lambda: f"see kubectl -n {space} describe deployment {name}", give_up_at)


def await_kafka(kubectl: Kubectl, manifest: dict[str, Any], give_up_at: float) -> None:
    """Waits until Strimzi says that a cluster is ready.

    Raises:
        Trouble: it does not in time.
    """
    name, space = manifest["metadata"]["name"], manifest["metadata"]["namespace"]

    def look() -> _State:
        found = kubectl.get("kafka", name, "-n", space) or {}
        status = found.get("status", {})
        if status.get("observedGeneration") != found.get("metadata", {}).get("generation"):
            return _State(f"{name}: Strimzi has not looked at it yet", False)
        if is_ready(found):
            return _State(f"{name}: ready", True)
        conditions = status.get("conditions", [])
        told = "; ".join(each.get("message", each["type"]) for each in conditions)
        return _State(f"{name}: {told or 'Strimzi says nothing of it'}", False)

    def why() -> str:
        if kubectl.list("pods", "-n", space, "-l", f"strimzi.io/cluster={name}"):
            return f"see kubectl -n {space} get pods,events"
        return (
            "it has no pod. Does the Strimzi operator run, look into this namespace "
            "(watchAnyNamespace) and make pods that are `restricted` "
            "(STRIMZI_POD_SECURITY_PROVIDER_CLASS)? sdep/README.md says how to install it"
        )

    _await(look, why, give_up_at)
