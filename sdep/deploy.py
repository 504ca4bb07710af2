"""Applies an overlay, waits until its pods are ready, and otherwise reports why they are not.

`python -m sdep.deploy native --image kmnist:0.1 --broker kafka.example.com:9092`

The command needs only kubectl. A temporary kustomization on top of the overlay sets the image, the
broker and the namespace.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sdep.kubectl import DeployError, Kubectl
from sdep.waiting import await_deployment, await_kafka, await_pods

OVERLAYS = Path(__file__).resolve().parent / "overlays"
IMAGE = "registry.example.com/kmnist"
# Options that each overlay refuses. The overlay's autoscaler repeats the broker or the namespace
# inside a longer string, which kustomize cannot change.
_NAMED_BY_AUTOSCALERS = {
    "executor-keda-lag": ("broker", "namespace"),
    "executor-keda-prometheus": ("namespace",),
    "native-keda-prometheus": ("namespace",),
}
_EXAMPLES = """
examples:
  python -m sdep.deploy native --image registry.example.com/kmnist:0.1
  python -m sdep.deploy native-keda-lag --image kmnist:0.1 --broker kafka.example.com:9092
  python -m sdep.deploy kafka-single --timeout 600
  python -m sdep.deploy native --image kmnist:0.1 --namespace compare --print

The cluster is kubectl's current one (KUBECONFIG, --context).
"""


def main(arguments: list[str] | None = None) -> int:
    """Deploys the overlay that the arguments name.

    Returns:
        0 if the overlay works or was printed, 1 if not, 2 for wrong arguments, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    advice = "nothing was applied"
    try:
        overlay = _overlay(options.overlay)
        kubectl = Kubectl(options.context)
        with tempfile.TemporaryDirectory() as folder:
            temporary = _write(Path(folder), overlay, options)
            built = kubectl.run("kustomize", str(temporary))
        if options.print:
            sys.stdout.write(built)
            return 0
        advice = "manifests that were applied stay in the cluster"
        _deploy(kubectl, built, options.timeout)
        return 0
    except DeployError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"\nstopped; {advice}\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sdep.deploy",
        description="Apply an overlay, and wait until it works.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overlay", help="a folder of sdep/overlays")
    parser.add_argument("--image", metavar="NAME:TAG", help=f"image instead of {IMAGE}:0.1")
    parser.add_argument("--broker", metavar="HOST:PORT,…", help="brokers instead of the overlay's")
    parser.add_argument("--namespace", metavar="NAME", help="namespace instead of the overlay's")
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig")
    parser.add_argument(
        "--timeout", type=float, default=300.0, metavar="S", help="seconds to wait for pods (300)"
    )
    parser.add_argument(
        "--print", action="store_true", help="print the manifests without applying them"
    )
    return parser


def _overlay(name: str) -> Path:
    known = sorted(path.name for path in OVERLAYS.iterdir() if path.is_dir())
    if name not in known:
        raise ValueError(f"there is no overlay {name!r}; there are {', '.join(known)}")
    return OVERLAYS / name


def _write(folder: Path, overlay: Path, options: argparse.Namespace) -> Path:
    """Writes a kustomization that changes an overlay as the options say.

    The file is JSON, which is valid YAML.

    Args:
        folder: folder to write to.
        overlay: folder of the overlay.
        options: `namespace`, `image` and `broker` of the command line.

    Returns:
        The folder of the kustomization.

    Raises:
        ValueError: an option is wrong, or the overlay's autoscaler would not follow it.
    """
    for field in _NAMED_BY_AUTOSCALERS.get(overlay.name, ()):
        if getattr(options, field):
            raise ValueError(
                f"the autoscaler of {overlay.name} has its own copy of the {field}, which "
                f"--{field} would not change: write an overlay that sets the {field} in both places"
            )
    kustomization: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(overlay, folder.resolve())],
    }
    if options.namespace:
        kustomization["namespace"] = options.namespace
    if options.image:
        name, colon, tag = options.image.rpartition(":")
        if not colon or "/" in tag:
            raise ValueError(f"--image {options.image}: add a tag, such as {options.image}:0.1")
        kustomization["images"] = [{"name": IMAGE, "newName": name, "newTag": tag}]
    if options.broker is not None:
        kustomization |= _with_broker(options.broker)
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization), "utf-8")
    return folder


def _with_broker(brokers: str) -> dict[str, Any]:
    """Returns fields of a kustomization that set the brokers and allow egress to their ports."""
    ports = sorted({_port(each) for each in brokers.split(",")})
    rule = {
        "op": "add",
        "path": "/spec/egress/-",
        "value": {"ports": [{"port": port} for port in ports]},
    }
    return {
        "configMapGenerator": [
            {
                "name": "kmnist-stream",
                "behavior": "merge",
                "literals": [f"KAFKA_BROKER={brokers}"],
            }
        ],
        "patches": [{"target": {"kind": "NetworkPolicy"}, "patch": json.dumps([rule])}],
    }


def _port(broker: str) -> int:
    host, colon, port = broker.rpartition(":")
    if not host or not colon or not port.isdecimal():
        raise ValueError(f"--broker {broker!r}: HOST:PORT is needed")
    return int(port)


def _deploy(kubectl: Kubectl, built: str, timeout_s: float) -> None:
    manifests = _documents(kubectl, built)
    for each in manifests:
        if each["kind"] == "ConfigMap" and "KAFKA_BROKER" in each.get("data", {}):
            _check_broker(kubectl, each)
    # Conflicts are forced because after `kubectl scale` another field manager owns the predictors,
    # which are a single field to the API server.
    force = ("--server-side", "--force-conflicts", "--field-manager", "sdep-deploy")
    sys.stdout.write(kubectl.run("apply", *force, "-f", "-", stdin=built))
    give_up_at = time.monotonic() + timeout_s
    for each in manifests:
        if each["kind"] == "SeldonDeployment":
            await_pods(kubectl, each, give_up_at)
        elif each["kind"] == "Deployment":
            await_deployment(kubectl, each, give_up_at)
        elif each["kind"] == "Kafka":
            await_kafka(kubectl, each, give_up_at)


def _documents(kubectl: Kubectl, built: str) -> list[dict[str, Any]]:
    # kubectl converts YAML to JSON, so that no YAML package is needed.
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
    """Checks that the Service of each broker exists.

    The first part of a broker's host is the name of its Service.
    A host with a dot that does not end with `.svc` is not checked.

    Raises:
        DeployError: a Service does not exist.
    """
    for broker in config["data"]["KAFKA_BROKER"].split(","):
        host, _, rest = broker.strip().rpartition(":")[0].partition(".")
        if not host or not (rest == "" or rest.endswith(".svc")):
            continue
        space = rest.removesuffix(".svc") or config["metadata"]["namespace"]
        if kubectl.get("service", host, "-n", space) is None:
            raise DeployError(
                f"KAFKA_BROKER is {broker}, and {space} has no Service {host}: set your brokers "
                "with --broker HOST:PORT, or create a small Kafka cluster: kubectl apply -k "
                "sdep/overlays/kafka-single"
            )


if __name__ == "__main__":
    sys.exit(main())
