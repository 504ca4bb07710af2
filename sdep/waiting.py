"""Waits until applied manifests work, or finds out why they do not."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sdep.kubectl import DeployError, Kubectl

_STATUS_PORT = 8080
_POLL_S = 1.0
# After these errors Kubernetes retries for ever. Mostly a person has to correct the cause: push or
# load the image, create a missing ConfigMap, or change the manifest.
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_NO_CONTAINER = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
# The fields that name the source of a variable; the API server adds others, such as `apiVersion`.
_SOURCE_KEYS = ("name", "key", "fieldPath", "containerName", "resource")


def await_pods(kubectl: Kubectl, manifest: dict[str, Any], give_up_at: float) -> None:
    """Waits until a SeldonDeployment's pods match its manifest and are ready.

    Args:
        kubectl: kubectl of the cluster.
        manifest: the SeldonDeployment.
        give_up_at: end of the wait, by `time.monotonic`.

    Raises:
        DeployError: the pods cannot become ready, or are not ready in time.
    """
    name, space = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    states: list[_PredictorState] = []

    def poll() -> _State:
        states[:] = _predictor_states(kubectl, manifest)
        return _State("; ".join(map(str, states)), all(state.is_done for state in states))

    def reason() -> str:
        unscaled = [each.name for each in states if each.is_rolled_out and not each.is_scaled]
        if unscaled:
            return (
                f"no autoscaler scales {unscaled[0]}: Seldon's operator creates a ScaledObject "
                "only if it was installed with keda.enabled=true"
            )
        return _reason(kubectl, name, space, [pod for state in states for pod in state.pods])

    _await(poll, reason, give_up_at)
    if all(state.is_scaled_to_zero for state in states):
        sys.stdout.write("the autoscaler starts a pod when messages arrive\n")


class _State(NamedTuple):
    """The state of an object.

    Attributes:
        description: description for the user.
        is_done: whether the wait is over.
    """

    description: str
    is_done: bool


def _await(poll: Callable[[], _State], reason: Callable[[], str], give_up_at: float) -> None:
    """Polls until the state is done, and prints each change.

    Raises:
        DeployError: the state is not done in time; the error has the reason that `reason` returns.
    """
    printed = ""
    while True:
        state = poll()
        if state.description != printed:
            sys.stdout.write(state.description + "\n")
            sys.stdout.flush()
            printed = state.description
        if state.is_done:
            return
        if time.monotonic() > give_up_at:
            raise DeployError(f"{state.description}; {reason()}")
        time.sleep(_POLL_S)


@dataclass(frozen=True)
class _PredictorState:
    """The state of a predictor.

    Attributes:
        name: common beginning of the names of its pods.
        wanted: minimum number of pods.
        pods: pods that match the manifest.
        is_rolled_out: whether Seldon's operator and Kubernetes have applied the manifest.
        has_keda: whether the manifest wants an autoscaler of KEDA.
        is_scaled: whether that autoscaler exists, or none is wanted.
    """

    name: str
    wanted: int
    pods: list[dict[str, Any]]
    is_rolled_out: bool
    has_keda: bool
    is_scaled: bool

    @property
    def is_done(self) -> bool:
        """Whether the wait for the predictor is over."""
        return self.is_rolled_out and self.is_scaled and self._ready >= self.wanted

    @property
    def is_scaled_to_zero(self) -> bool:
        """Whether there may be no pod, because an autoscaler starts one when it is needed."""
        return self.has_keda and not self.wanted

    @property
    def _ready(self) -> int:
        return sum(map(is_ready, self.pods))

    def __str__(self) -> str:
        return f"{self.name}: {self._ready} of {self.wanted} pods ready"


def _predictor_states(kubectl: Kubectl, manifest: dict[str, Any]) -> list[_PredictorState]:
    """Returns the state of each predictor."""
    name, space = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    predictors = manifest["spec"]["predictors"]
    label = f"seldon-deployment-id={name}"
    deployments, pods = (
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
    return [_predictor_state(kubectl, name, each, deployments, pods, scaled) for each in predictors]


def _predictor_state(
    kubectl: Kubectl,
    name: str,
    predictor: dict[str, Any],
    deployments: list[dict[str, Any]],
    pods: list[dict[str, Any]],
    scaled: list[str],
) -> _PredictorState:
    prefix = f"{name}-{predictor['name']}-"
    deployments, pods = (
        [each for each in found if each["metadata"]["name"].startswith(prefix)]
        for found in (deployments, pods)
    )
    # Only pods that match the manifest count: old pods run until the operator has updated the
    # Deployment and new pods have replaced them.
    pods = [pod for pod in pods if matches(pod["spec"], predictor)]
    for pod in pods:
        _check_pod(kubectl, pod)
    is_rolled_out = bool(deployments) and all(
        matches(each["spec"]["template"]["spec"], predictor) and _has_only_new_pods(each)
        for each in deployments
    )
    has_keda = _has_keda(predictor)
    return _PredictorState(
        prefix.rstrip("-"),
        _wanted(predictor),
        pods,
        is_rolled_out,
        has_keda,
        is_scaled=not has_keda or any(each.startswith(prefix) for each in scaled),
    )


def _has_keda(predictor: dict[str, Any]) -> bool:
    return "kedaSpec" in predictor["componentSpecs"][0]


def matches(spec: dict[str, Any], predictor: dict[str, Any]) -> bool:
    """Returns whether a pod has a predictor's images, ConfigMaps and environment variables."""
    existing = {each["name"]: each for each in spec["containers"]}
    for wanted in predictor["componentSpecs"][0]["spec"]["containers"]:
        found = existing.get(wanted["name"], {})
        if found.get("image") != wanted["image"] or not _has_variables(found, wanted):
            return False
    engine = predictor.get("svcOrchSpec", {})
    return "env" not in engine or _has_variables(
        existing.get("seldon-container-engine", {}), engine
    )


def _has_variables(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Returns whether a container has the wanted variables and the ConfigMaps of variables."""
    sources = [each.get("configMapRef", {}).get("name") for each in found.get("envFrom", [])]
    variables = {each["name"]: _source(each) for each in found.get("env", [])}
    return all(
        each.get("configMapRef", {}).get("name") in sources for each in wanted.get("envFrom", [])
    ) and all(variables.get(each["name"]) == _source(each) for each in wanted.get("env", []))


def _source(variable: dict[str, Any]) -> tuple[str, ...]:
    """Returns a variable's value or its source, without fields that the API server adds."""
    if "valueFrom" not in variable:
        return (str(variable.get("value", "")),)
    ((kind, source),) = variable["valueFrom"].items()
    return kind, *(str(source.get(key, "")) for key in _SOURCE_KEYS)


def _wanted(predictor: dict[str, Any]) -> int:
    """Returns the minimum number of a predictor's pods."""
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
    """Returns whether an object's condition `Ready` is true."""
    conditions = found.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _check_pod(kubectl: Kubectl, pod: dict[str, Any]) -> None:
    name, space = pod["metadata"]["name"], pod["metadata"]["namespace"]
    for container in pod.get("status", {}).get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting", {})
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in _NO_IMAGE:
            raise DeployError(
                f"the image {container['image']} can't be pulled ({reason}: {message}); push it "
                "(`docker push`), load it into kind (`kind load docker-image`), or set another "
                "with --image"
            )
        if reason in _NO_CONTAINER:
            raise DeployError(f"{name} can't be started ({reason}: {message})")
        if reason == "CrashLoopBackOff":
            log = kubectl.run(
                "logs", name, "-n", space, "-c", container["name"], "--previous", "--tail=5"
            )
            raise DeployError(f"{name} crashes repeatedly; its last lines:\n{log.rstrip()}")


def _reason(kubectl: Kubectl, name: str, space: str, pods: list[dict[str, Any]]) -> str:
    """Returns why a SeldonDeployment is not ready.

    The reason is the state of the first pod that is not ready. If all pods are ready, it is the
    description in the SeldonDeployment's status.
    """
    for pod in pods:
        if is_ready(pod):
            continue
        for each in pod.get("status", {}).get("conditions", []):
            if each["type"] == "PodScheduled" and each["status"] == "False":
                return f"{pod['metadata']['name']} has no node: {each.get('message', '')}"
        path = f"/api/v1/namespaces/{space}/pods/{pod['metadata']['name']}:{_STATUS_PORT}/proxy"
        status = kubectl.raw(path + "/status")
        return f"{pod['metadata']['name']} is not ready: {_worker_states(status)}"
    found = kubectl.get("seldondeployment", name, "-n", space) or {}
    description = found.get("status", {}).get("description", "")
    if description or pods:
        return description or "its Deployment is not rolled out yet: see kubectl get pods"
    return "Seldon's operator has created no pods: check that it runs"


def _worker_states(status: str) -> str:
    """Describes the workers in a supervisor's `/status`; returns any other text unchanged."""
    try:
        workers = json.loads(status)["workers"]
    except (ValueError, KeyError, TypeError):
        return status
    states = [f"worker {each['index']}: {each['detail'] or each['state']}" for each in workers]
    return "; ".join(states) or "its workers have not started"


def await_deployment(kubectl: Kubectl, manifest: dict[str, Any], give_up_at: float) -> None:
    """Waits until the current pods of a Deployment are available.

    Raises:
        DeployError: the pods are not available in time.
    """
    name, space = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    try:
        kubectl.await_rollout(name, space, give_up_at - time.monotonic())
    except DeployError as error:
        see = f"see kubectl -n {space} describe deployment {name}"
        raise DeployError(f"{name} is not available: {error}; {see}") from error


def await_kafka(kubectl: Kubectl, manifest: dict[str, Any], give_up_at: float) -> None:
    """Waits until Strimzi reports that a Kafka cluster is ready.

    Raises:
        DeployError: the Kafka cluster is not ready in time.
    """
    name, space = manifest["metadata"]["name"], manifest["metadata"]["namespace"]

    def poll() -> _State:
        found = kubectl.get("kafka", name, "-n", space) or {}
        status = found.get("status", {})
        if status.get("observedGeneration") != found.get("metadata", {}).get("generation"):
            return _State(f"{name}: Strimzi has not processed it yet", False)
        if is_ready(found):
            return _State(f"{name}: ready", True)
        conditions = status.get("conditions", [])
        messages = "; ".join(each.get("message", each["type"]) for each in conditions)
        return _State(f"{name}: {messages or 'Strimzi reports no condition'}", False)

    def reason() -> str:
        if kubectl.list("pods", "-n", space, "-l", f"strimzi.io/cluster={name}"):
            return f"see kubectl -n {space} get pods,events"
        return (
            "it has no pod. Check that the Strimzi operator runs, watches this namespace "
            "(watchAnyNamespace) and creates `restricted` pods "
            "(STRIMZI_POD_SECURITY_PROVIDER_CLASS); sdep/README.md says how to install it"
        )

    _await(poll, reason, give_up_at)
