"""The dashboard's queries and the recording rules find the metrics of workers in Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from tests.broker.conftest import bootstrap, cluster, name, new_stream, new_topic
from tests.sdep.test_rules import groups
from tests.support.manifests import FOLDER, of_kind, overlay
from tests.support.ports import free_ports
from tests.support.prometheus import ask, prometheus
from tests.support.stream import Stream, wait_until

__all__ = ["bootstrap", "cluster", "name", "new_stream", "new_topic"]

NewStream = Callable[..., Stream]

DASHBOARD = FOLDER / "components" / "monitoring" / "dashboard.json"
# Metrics of Seldon's executor, the kubelet and kube-state-metrics, which workers do not have.
OTHERS = ("seldon_api_executor", "container_memory", "kube_pod_container")
# The drift index needs 500 images, and rates in Prometheus need two samples.
IMAGES_SENT = 6
WIDTH = 24


def dashboard() -> dict[str, Any]:
    return dict(json.loads(DASHBOARD.read_text("utf-8")))


def rows_and_panels() -> list[dict[str, Any]]:
    """Returns all rows and panels; a collapsed row contains its panels."""
    found = dashboard()["panels"]
    return [*found, *(panel for row in found for panel in row.get("panels", []))]


def panels() -> list[dict[str, Any]]:
    """Returns the panels without rows."""
    return [panel for panel in rows_and_panels() if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Returns each query with the initial values of the dashboard's variables."""
    found = {}
    for panel in panels():
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "10s")
            text = text.replace("$namespace", ".*").replace("$deployment", ".*")
            found[f"{panel['title']}/{target['refId']}"] = text
    return found


def configuration(port: int, folder: Path) -> dict[str, Any]:
    """Returns a configuration of Prometheus for a supervisor, which matches the PodMonitor."""
    labels = {
        "namespace": "kmnist",
        "deployment": "kmnist",
        "predictor": "kmnist-default",
        "pod": "kmnist-0",
        "endpoint": "status",
    }
    (folder / "rules.json").write_text(json.dumps({"groups": groups()}), "utf-8")
    job = {
        "job_name": "kmnist",
        "metrics_path": "/metrics",
        "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": labels}],
    }
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.json")],
        "scrape_configs": [job],
    }


def test_every_query_and_rule_finds_metrics_of_the_workers(
    new_stream: NewStream, tmp_path: Path
) -> None:
    stream = new_stream(partitions=2)
    (port,) = free_ports(1)
    stream.start(
        "seldon_kafka",
        "serve",
        "wrapper.KmnistClassifier",
        KAFKA_WORKER_ID="replica",
        KAFKA_HTTP_PORT=str(port),
        KAFKA_SELDON_SERVER="off",
    )
    images = load_samples().images
    every = [encode(FORMATS["ndarray"], images) for _ in range(IMAGES_SENT)]
    wanted = {**queries(), **_records()}
    missing = {key for key, query in wanted.items() if not any(each in query for each in OTHERS)}
    with prometheus(tmp_path, configuration(port, tmp_path)) as url:

        def all_found() -> bool:
            # Rates need a continuous flow of messages.
            stream.send([*every, b"no message"])
            missing.difference_update([key for key in missing if ask(url, wanted[key])])
            return not missing

        try:
            wait_until(all_found, 60, "every query finds something")
        except AssertionError:
            raise AssertionError(f"nothing for {sorted(missing)}") from None
        # Queries for metrics of others find nothing, but Prometheus checks their syntax.
        for query in wanted.values():
            ask(url, query)


def _records() -> dict[str, str]:
    names = [rule["record"] for group in groups() for rule in group["rules"] if "record" in rule]
    return {name: name for name in names}


def test_every_panel_has_a_description_and_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in rows_and_panels():
        grid = panel["gridPos"]
        cells = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert not cells & taken, panel["title"]
        assert grid["x"] + grid["w"] <= WIDTH
        taken |= cells
    for panel in panels():
        assert panel["description"].endswith((".", "them."))
        assert panel["fieldConfig"]["defaults"]["unit"]
    numbers = [panel["id"] for panel in rows_and_panels()]
    assert len(set(numbers)) == len(numbers)


def test_a_config_map_with_the_label_of_grafanas_sidecar_has_the_dashboard() -> None:
    found = {each["metadata"]["name"]: each for each in of_kind(overlay(MONITORED), "ConfigMap")}
    config = found["kmnist-grafana-dashboard"]
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config["data"]["dashboard.json"]) == dashboard()


def test_the_pod_monitor_sets_the_labels_that_queries_group_by() -> None:
    (monitor,) = of_kind(overlay(MONITORED), "PodMonitor")
    endpoints = monitor["spec"]["podMetricsEndpoints"]
    added = {each["targetLabel"] for end in endpoints for each in end["relabelings"]}
    # The Prometheus operator adds these labels by itself.
    added |= {"namespace", "pod", "endpoint"}
    groupings = set(re.findall(r"by \(([^)]*)\)", " ".join(queries().values())))
    used = {label.strip() for labels in groupings for label in labels.split(",")}
    known = {"le", "stage", "reason", "label", "at_least", "statistic", "worker", "code"}
    assert used - known <= added


MONITORED = "native-keda-lag-monitored"
