"""Applies an overlay and waits until it works, or says why it does not.

`python -m sdep.deploy native --image kmnist:0.1 --broker kafka.example.com:9092`

It needs kubectl and nothing else; what it does is `kubectl apply -k` on an overlay of its own that
names the image, the broker and the namespace.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

OVERLAYS = Path(__file__).resolve().parent / "overlays"
IMAGE = "registry.example.com/kmnist"
_STATUS_PORT = 8080
_LOOK_S = 1.0
_KUBECTL_S = 60
# Kubernetes tries these again for ever; nothing but another image or another manifest mends them.
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_NO_CONTAINER = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")

_EXAMPLES = """
examples:
  python -m sdep.deploy native --image registry.example.com/kmnist:0.1
  python -m sdep.deploy native-keda-lag --image kmnist:0.1 --broker kafka.example.com:9092
  python -m sdep.deploy kafka-single --timeout 600
  python -m sdep.deploy executor --image kmnist:0.1 --namespace compare --print

The cluster is kubectl's current one (KUBECONFIG, --context).
"""


class Trouble(Exception):
    """Something that the user can mend; the message says how."""


def main(arguments: list[str] | None = None) -> int:
    """Deploys what the arguments say.

    Returns:
        0 when it works, 1 when it does not, 2 for wrong arguments, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        overlay = _overlay(options.overlay)
        kubectl = Kubectl(options.context)
        with tempfile.TemporaryDirectory() as folder:
            place = _write(Path(folder), overlay, options)
            built = kubectl.run("kustomize", str(place))
            if options.print:
                sys.stdout.write(built)
                return 0
            _deploy(kubectl, place, built, options.timeout)
        return 0
    except Trouble as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nleft alone: what is applied goes on\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sdep.deploy",
        description="Apply an overlay, and wait until it works.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overlay", help="a folder of sdep/overlays")
    parser.add_argument("--image", metavar="NAME:TAG", help=f"in place of {IMAGE}:0.1")
    parser.add_argument("--broker", metavar="HOST:PORT", help="in place of the overlay's")
    parser.add_argument("--namespace", metavar="NAME", default="kmnist", help="(%(default)s)")
    parser.add_argument("--context", metavar="NAME", help="of the kubeconfig")
    parser.add_argument(
        "--timeout", type=float, default=300.0, metavar="S", help="give up after (300)"
    )
    parser.add_argument("--print", action="store_true", help="print the manifests, apply nothing")
    return parser


class Kubectl:
    """kubectl, for one context.

    Raises:
        Trouble: it is not installed.
    """

    def __init__(self, context: str | None = None) -> None:
        if shutil.which("kubectl") is None:
            raise Trouble("kubectl is not here; install it, and name the cluster in KUBECONFIG")
        self._command = ["kubectl", *(["--context", context] if context else [])]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """What a command prints.

        Raises:
            Trouble: it fails; the message is its own.
        """
        ran = self._try(arguments, stdin)
        if ran.returncode != 0:
            raise Trouble(_explained(ran.stderr.strip()))
        return ran.stdout

    def get(self, *arguments: str) -> Any:
        """Objects, or None if there is no such."""
        ran = self._try(("get", *arguments, "-o", "json", "--ignore-not-found"), None)
        if ran.returncode != 0:
            raise Trouble(_explained(ran.stderr.strip()))
        return json.loads(ran.stdout) if ran.stdout.strip() else None

    def list(self, *arguments: str) -> list[dict[str, Any]]:
        """Objects; none if there are none."""
        return list((self.get(*arguments) or {"items": []})["items"])

    def raw(self, path: str) -> str:
        """What the API server answers at a path, whatever its status."""
        ran = self._try(("get", "--raw", path), None)
        return (ran.stdout or ran.stderr).strip()

    def _try(
        self, arguments: tuple[str, ...], stdin: str | None
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [*self._command, *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=_KUBECTL_S,
            )
        except subprocess.TimeoutExpired as error:
            raise Trouble(f"the cluster does not answer within {_KUBECTL_S} s") from error


def _explained(said: str) -> str:
    if "no matches for kind" in said and "SeldonDeployment" in said:
        return "the cluster knows no SeldonDeployment: install Seldon Core 1.17.1 (sdep/README.md)"
    if "no matches for kind" in said:
        return f"the cluster lacks an operator that this overlay needs (sdep/README.md): {said}"
    if "connect" in said or "current-context" in said or "dial tcp" in said:
        return f"no cluster answers; see `kubectl config get-contexts`: {said.splitlines()[-1]}"
    return said


def _overlay(name: str) -> Path:
    known = sorted(path.name for path in OVERLAYS.iterdir() if path.is_dir())
    if name not in known:
        raise ValueError(f"there is no overlay {name!r}; there are {', '.join(known)}")
    return OVERLAYS / name


def _write(folder: Path, overlay: Path, options: argparse.Namespace) -> Path:
    """Writes an overlay over an overlay; JSON is YAML, too."""
    found: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": options.namespace,
        "resources": [os.path.relpath(overlay, folder.resolve())],
    }
    if options.image:
        name, colon, tag = options.image.rpartition(":")
        if not colon or "/" in tag:
            raise ValueError(f"--image {options.image}: name a tag, as {options.image}:0.1")
        found["images"] = [{"name": IMAGE, "newName": name, "newTag": tag}]
    if options.broker is not None:
        host, colon, port = options.broker.rpartition(":")
        if not host or not colon or not port.isdecimal():
            raise ValueError(f"--broker {options.broker!r}: HOST:PORT is needed")
        found["configMapGenerator"] = [
            {
                "name": "kmnist-stream",
                "behavior": "merge",
                "literals": [f"KAFKA_BROKER={options.broker}"],
            }
        ]
    (folder / "kustomization.yaml").write_text(json.dumps(found), "utf-8")
    return folder


def _deploy(kubectl: Kubectl, place: Path, built: str, timeout_s: float) -> None:
    manifests = _documents(kubectl, built)
    for each in manifests:
        if each["kind"] == "ConfigMap" and "KAFKA_BROKER" in each.get("data", {}):
            _check_broker(kubectl, each)
    sys.stdout.write(kubectl.run("apply", "--server-side", "-k", str(place)))
    give_up_at = time.monotonic() + timeout_s
    for each in manifests:
        if each["kind"] == "SeldonDeployment":
            _await_pods(kubectl, each, give_up_at)
        elif each["kind"] == "Kafka":
            _await_kafka(kubectl, each, give_up_at)


def _documents(kubectl: Kubectl, built: str) -> list[dict[str, Any]]:
    # kubectl reads YAML, and this needs no package.
    listed = kubectl.run(
        "create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", stdin=built
    )
    found: list[dict[str, Any]] = []
    decoder, rest = json.JSONDecoder(), listed.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        found.extend(document["items"] if document["kind"] == "List" else [document])
        rest = rest[end:].lstrip()
    return found


def _check_broker(kubectl: Kubectl, config: dict[str, Any]) -> None:
    """A bare name is a Service of the namespace; another is looked up by the pods themselves."""
    broker = config["data"]["KAFKA_BROKER"]
    host = broker.rpartition(":")[0]
    space = config["metadata"]["namespace"]
    if host and "." not in host and kubectl.get("service", host, "-n", space) is None:
        raise Trouble(
            f"KAFKA_BROKER is {broker}, and {space} has no Service {host}: name your brokers with "
            "--broker HOST:PORT, or make one: kubectl apply -k sdep/overlays/kafka-single"
        )


def _await_pods(kubectl: Kubectl, manifest: dict[str, Any], give_up_at: float) -> None:
    name, space = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    wanted = sum(map(_wanted, manifest["spec"]["predictors"]))
    label = f"seldon-deployment-id={name}"
    said = ""
    while True:
        pods = kubectl.list("pods", "-n", space, "-l", label)
        pods = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        for pod in pods:
            _check_pod(kubectl, pod)
        ready = sum(map(_is_ready, pods))
        now = f"{name}: {ready} of {wanted} pods ready"
        is_new = _is_rolled_out(kubectl, manifest)
        if ready >= wanted and not is_new:
            now += ", some of them still as before"
        if now != said:
            sys.stdout.write(now + "\n")
            sys.stdout.flush()
            said = now
        if ready >= wanted and is_new:
            if not wanted:
                sys.stdout.write("the autoscaler starts a pod when messages come\n")
            return
        if time.monotonic() > give_up_at:
            raise Trouble(f"{now}; {_why(kubectl, name, space, pods)}")
        time.sleep(_LOOK_S)


def _wanted(predictor: dict[str, Any]) -> int:
    """How many pods a predictor has at least."""
    (component,) = predictor["componentSpecs"]
    if "kedaSpec" in component:
        return int(component["kedaSpec"].get("minReplicaCount", 0))
    if "hpaSpec" in component:
        return int(component["hpaSpec"].get("minReplicas", 1))
    return int(predictor.get("replicas", 1))


def _is_rolled_out(kubectl: Kubectl, manifest: dict[str, Any]) -> bool:
    """Whether there are Deployments of it, and all of their pods are as it says now."""
    name, space = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    found = kubectl.list("deployments", "-n", space, "-l", f"seldon-deployment-id={name}")
    templates = json.dumps([each["spec"]["template"] for each in found])
    for predictor in manifest["spec"]["predictors"]:
        for container in predictor["componentSpecs"][0]["spec"]["containers"]:
            # The operator takes a moment to look at what was applied.
            if any(json.dumps(value) not in templates for value in _marks(container)):
                return False
    return bool(found) and all(map(_has_only_new_pods, found))


def _marks(container: dict[str, Any]) -> list[str]:
    """What changes with a new version: the image, and the names of configurations."""
    sources = [each["configMapRef"]["name"] for each in container.get("envFrom", [])]
    return [container["image"], *sources]


def _has_only_new_pods(found: dict[str, Any]) -> bool:
    status = found.get("status", {})
    return bool(
        status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
    )


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
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
        if _is_ready(pod):
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


def _await_kafka(kubectl: Kubectl, manifest: dict[str, Any], give_up_at: float) -> None:
    name, space = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    said = ""
    while True:
        found = kubectl.get("kafka", name, "-n", space) or {}
        conditions = found.get("status", {}).get("conditions", [])
        if any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
            sys.stdout.write(f"{name}: ready\n")
            return
        now = "; ".join(each.get("message", each["type"]) for each in conditions)
        if now != said:
            sys.stdout.write(f"{name}: {now or 'Strimzi has not looked at it yet'}\n")
            sys.stdout.flush()
            said = now
        if time.monotonic() > give_up_at:
            raise Trouble(f"{name} is not ready: {now or 'does the Strimzi operator run?'}")
        time.sleep(_LOOK_S)


if __name__ == "__main__":
    sys.exit(main())
