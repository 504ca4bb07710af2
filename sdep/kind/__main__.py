"""Starts operators, Kafka, the model, monitoring and the dashboard in a local kind cluster.

The command is `python -m sdep.kind up`, or `make kind`. Each step can be repeated, and keeps what
an earlier run has created.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdep.deploy import main as deploy
from sdep.kubectl import DeployError

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = "kmnist"
CONTEXT = f"kind-{CLUSTER}"
BROKER = "127.0.0.1:30092"
_STEP_S = 900
_DASHBOARD_OPTIONS = ("--kubernetes", "kmnist/kmnist", "--context", CONTEXT)

# Needed programs, with their names in error messages.
_TOOLS = {
    "docker": "a Docker engine",
    "kind": "kind (kind.sigs.k8s.io)",
    "kubectl": "kubectl",
    "helm": "Helm 3 (helm.sh)",
}


@dataclass(frozen=True)
class Chart:
    """A Helm chart.

    Attributes:
        name: name of the release and of its namespace.
        chart: name of the chart in the repository.
        repository: URL of the Helm repository.
        version: the version to install.
        values: values that differ from the chart's defaults.
    """

    name: str
    chart: str
    repository: str
    version: str
    values: tuple[str, ...] = ()


CHARTS = (
    Chart(
        "strimzi",
        "strimzi-kafka-operator",
        "https://strimzi.io/charts/",
        "1.2.0",
        # With this provider the pods that Strimzi creates comply with the Pod Security level
        # `restricted`, which their namespace enforces.
        (
            "watchAnyNamespace=true",
            "extraEnvs[0].name=STRIMZI_POD_SECURITY_PROVIDER_CLASS",
            "extraEnvs[0].value=restricted",
        ),
    ),
    Chart("keda", "keda", "https://kedacore.github.io/charts", "2.20.2"),
    Chart(
        "monitoring",
        "kube-prometheus-stack",
        "https://prometheus-community.github.io/helm-charts",
        "88.4.0",
        # By default Prometheus reads only objects of the chart itself.
        (
            "prometheus.prometheusSpec.podMonitorSelectorNilUsesHelmValues=false",
            "prometheus.prometheusSpec.ruleSelectorNilUsesHelmValues=false",
            "grafana.sidecar.dashboards.searchNamespace=ALL",
        ),
    ),
    # Seldon's operator is installed after KEDA, because it looks for KEDA's kinds when it starts.
    Chart(
        "seldon-system",
        "seldon-core-operator",
        "https://storage.googleapis.com/seldon-charts",
        "1.17.1",
        ("keda.enabled=true",),
    ),
)

_EXAMPLES = """
examples:
  python -m sdep.kind up                     start everything; 10 minutes the first time
  python -m sdep.kind up --image kmnist:0.1  use a local Docker image
  python -m sdep.kind up --no-dashboard      start everything except the dashboard
  python -m sdep.kind down                   delete the cluster and all its data
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Starts or deletes the cluster, as the arguments say.

    Returns:
        The exit status of the dashboard if it was run. Otherwise 0 on success, 1 if a step failed,
        2 for wrong arguments, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.command == "down":
            _need("kind")
            _run("kind", "delete", "cluster", "--name", CLUSTER)
            return 0
        _need(*_TOOLS)
        _up(options.image)
    except DeployError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(
            "\nstopped; run the same command again to continue, or delete the cluster: "
            "python -m sdep.kind down\n"
        )
        return 130
    return 0 if options.no_dashboard else _run_dashboard()


def _run_dashboard() -> int:
    """Runs the dashboard until Ctrl-C, and returns its exit status; the cluster keeps running."""
    dashboard = subprocess.Popen(
        [sys.executable, "-m", "consumer.dashboard", *_DASHBOARD_OPTIONS],
        cwd=ROOT,
        env={**os.environ, "KAFKA_BROKER": BROKER},
    )
    try:
        return dashboard.wait()
    except KeyboardInterrupt:
        # The terminal sends SIGINT to the dashboard too, which then ends by itself.
        return dashboard.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sdep.kind",
        description="Run Kubernetes on this machine, with Kafka, the model and monitoring.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="up | down")
    up = commands.add_parser("up", help="start everything, or the missing parts")
    up.add_argument("--image", metavar="NAME:TAG", help="use an existing image")
    up.add_argument(
        "--no-dashboard", action="store_true", help="do not run the dashboard at the end"
    )
    commands.add_parser("down", help="delete the cluster")
    return parser


def _up(image: str | None) -> None:
    name = image or f"{CLUSTER}:0.1"
    steps: list[tuple[str, Callable[[], None]]] = [
        ("a cluster of one node", _make_cluster),
        *((f"{each.chart} {each.version}", lambda each=each: _install(each)) for each in CHARTS),
        ("a Kafka broker and the topics", lambda: _deploy("kind-kafka")),
    ]
    if image is None:
        steps.append((f"the image {name}", lambda: _run("make", "image", f"IMAGE={name}")))
    steps += [
        ("the image on the node", lambda: _load(name)),
        ("the model, scaled by lag", lambda: _deploy("native-keda-lag-monitored", "--image", name)),
    ]
    for number, (description, step) in enumerate(steps, 1):
        sys.stdout.write(f"[{number}/{len(steps)}] {description}\n")
        sys.stdout.flush()
        started = time.monotonic()
        step()
        sys.stdout.write(f"        {time.monotonic() - started:.0f} s\n")
    python = os.path.relpath(sys.executable, ROOT)
    sys.stdout.write(
        f"""
Everything is running. Send images: pods start, and stop two minutes after the last image:

    KAFKA_BROKER={BROKER} {python} -m producer --samples --loop --rate 500
    kubectl --context {CONTEXT} -n kmnist get pods --watch

Run the dashboard on this machine (`up` does so as its last step):

    KAFKA_BROKER={BROKER} {python} -m consumer.dashboard {" ".join(_DASHBOARD_OPTIONS)}

Grafana (user admin; the password is in the Secret monitoring-grafana):

    kubectl --context {CONTEXT} -n monitoring port-forward svc/monitoring-grafana 3000:80

"""
    )
    sys.stdout.flush()


def _make_cluster() -> None:
    listed = subprocess.run(
        ["kind", "get", "clusters"], capture_output=True, text=True, timeout=60, check=False
    )
    if CLUSTER in listed.stdout.split():
        sys.stdout.write("        it exists\n")
        return
    config = ROOT / "sdep" / "kind" / "cluster.yaml"
    _run("kind", "create", "cluster", "--name", CLUSTER, "--config", str(config), "--wait", "5m")


def _install(chart: Chart) -> None:
    values = [part for each in chart.values for part in ("--set", each)]
    _run(
        "helm", "upgrade", "--install", chart.name, chart.chart, "--repo", chart.repository,
        "--version", chart.version, "--namespace", chart.name, "--create-namespace",
        "--kube-context", CONTEXT, "--wait", "--timeout", "10m", *values,
    )  # fmt: skip


def _load(image: str) -> None:
    _run("kind", "load", "docker-image", image, "--name", CLUSTER)


def _deploy(overlay: str, *options: str) -> None:
    if deploy([overlay, "--context", CONTEXT, "--timeout", "600", *options]) != 0:
        raise DeployError(
            f"overlays/{overlay} is not ready; run the same command again to retry this step"
        )


def _need(*tools: str) -> None:
    missing = [_TOOLS[tool] for tool in tools if shutil.which(tool) is None]
    if missing:
        raise DeployError(f"needed and not installed: {', '.join(missing)}")


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, timeout=_STEP_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DeployError(
            f"{command[0]} takes more than {_STEP_S} s; run the same command again to continue"
        ) from error
    if done.returncode != 0:
        raise DeployError(
            f"`{' '.join(command[:4])} …` exited with status {done.returncode}; its output is "
            "above. Run the same command again to retry this step"
        )


if __name__ == "__main__":
    sys.exit(main())
