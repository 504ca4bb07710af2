"""Brings up all of it in kind: operators, Kafka, the model, monitoring, and the dashboard.

`python -m sdep.kind up`, or `make kind`. Each step can be done again: what is there is left alone.
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
from sdep.kubectl import Trouble

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = "kmnist"
CONTEXT = f"kind-{CLUSTER}"
BROKER = "127.0.0.1:30092"
_STEP_S = 900
_STEERED = ("--kubernetes", "kmnist/kmnist", "--context", CONTEXT)

_HOW = {
    "docker": "a Docker engine",
    "kind": "kind (kind.sigs.k8s.io)",
    "kubectl": "kubectl",
    "helm": "Helm 3 (helm.sh)",
}


@dataclass(frozen=True)
class Chart:
    """A Helm chart.

    Attributes:
        name: of the release, and the namespace that it goes into.
        chart: its name in the repository.
        repository: where its project publishes it.
        version: the one that this was made for.
        values: what is set otherwise than it says.
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
        # Its pods then keep to the namespace's `restricted`.
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
        # Or it looks only at what the chart itself made.
        (
            "prometheus.prometheusSpec.podMonitorSelectorNilUsesHelmValues=false",
            "prometheus.prometheusSpec.ruleSelectorNilUsesHelmValues=false",
            "grafana.sidecar.dashboards.searchNamespace=ALL",
        ),
    ),
    # After KEDA: it asks for KEDA's kinds when it starts.
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
  python -m sdep.kind up                     all of it; 10 minutes the first time
  python -m sdep.kind up --image kmnist:0.1  with an image that this engine has already
  python -m sdep.kind up --no-dashboard      all but the page
  python -m sdep.kind down                   the cluster is gone, and all that was in it
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the arguments say.

    Returns:
        0 or what the page leaves with, 1 if a step failed, 2 for wrong arguments, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.command == "down":
            _need("kind")
            _run("kind", "delete", "cluster", "--name", CLUSTER)
            return 0
        _need(*_HOW)
        _up(options.image)
    except Trouble as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; run it again to go on, or: python -m sdep.kind down\n")
        return 130
    return 0 if options.no_dashboard else _show()


def _show() -> int:
    """Runs the page until Ctrl-C; the cluster stays."""
    page = subprocess.Popen(
        [sys.executable, "-m", "consumer.dashboard", *_STEERED],
        cwd=ROOT,
        env={**os.environ, "KAFKA_BROKER": BROKER},
    )
    try:
        return page.wait()
    except KeyboardInterrupt:
        # It has got the signal as well, and ends by itself.
        return page.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sdep.kind",
        description="A Kubernetes on this machine, with everything in it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="up | down")
    up = commands.add_parser("up", help="bring it up, or what is missing of it")
    up.add_argument("--image", metavar="NAME:TAG", help="one that is built already")
    up.add_argument("--no-dashboard", action="store_true", help="don't show the page at the end")
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
        ("the image, to the node", lambda: _load(name)),
        ("the model, scaled by lag", lambda: _deploy("native-keda-lag-monitored", "--image", name)),
    ]
    for number, (what, do) in enumerate(steps, 1):
        sys.stdout.write(f"[{number}/{len(steps)}] {what}\n")
        sys.stdout.flush()
        started = time.monotonic()
        do()
        sys.stdout.write(f"        {time.monotonic() - started:.0f} s\n")
    python = os.path.relpath(sys.executable, ROOT)
    sys.stdout.write(
        f"""
It is up. Send images, and see pods come; two minutes after the last one they are gone again:

    KAFKA_BROKER={BROKER} {python} -m producer --samples --loop --rate 500
    kubectl --context {CONTEXT} -n kmnist get pods --watch

Look at it and steer it, on this machine (the dashboard, which `up` shows at its end):

    KAFKA_BROKER={BROKER} {python} -m consumer.dashboard {" ".join(_STEERED)}

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
        sys.stdout.write("        it is there already\n")
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
        raise Trouble(f"overlays/{overlay} does not work yet; run this again to go on from there")


def _need(*tools: str) -> None:
    missing = [_HOW[tool] for tool in tools if shutil.which(tool) is None]
    if missing:
        raise Trouble(f"needed and not here: {', '.join(missing)}")


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, timeout=_STEP_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Trouble(
            f"{command[0]} takes more than {_STEP_S} s; run this again to go on"
        ) from error
    if done.returncode != 0:
        raise Trouble(
            f"`{' '.join(command[:4])} …` left with status {done.returncode}; what it said is "
            "above. Run this again to go on from there"
        )


if __name__ == "__main__":
    sys.exit(main())
