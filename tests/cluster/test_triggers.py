"""The other triggers of KEDA: a query to Prometheus, and lag behind a password and TLS."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from kafka.cluster.local import Cluster
from kafka.cluster.security import client_config
from kafka.rights import worker_rights
from kafka.settings import load_settings
from tests.broker.stream import wait_until
from tests.cluster.conftest import NewPlace, make_topics
from tests.cluster.figures import Figures
from tests.cluster.operators import namespace
from tests.cluster.overlays import Overlay, Variant, keda, variant
from tests.cluster.place import Place
from tests.cluster.rig import HOST, Rig
from tests.cluster.traffic import Run
from tests.sdep.test_grafana_dashboard import ask
from tests.wrapper.conftest import free_ports

pytestmark = [pytest.mark.full, pytest.mark.alone, pytest.mark.timeout(900)]

# More than one pod answers before the autoscaler has looked.
BACKLOG = 150_000
# Of components/keda-prometheus.
QUERY = 'sum(kafka_worker_lag_messages{namespace="NAMESPACE"})'
USER = "kmnist"


@pytest.fixture
def prometheus(rig: Rig, tmp_path: Path) -> Iterator[str]:
    """A Prometheus that finds the native way's pods by the API server, as the PodMonitor says."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not here: Debian's package of that name")
    (port,) = free_ports(1)
    # JSON is YAML, too.
    (tmp_path / "prometheus.json").write_text(json.dumps(_scraping(rig)), "utf-8")
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={tmp_path / 'prometheus.json'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


def _scraping(rig: Rig) -> dict[str, Any]:
    found = {"kubeconfig_file": str(rig.kubeconfig), "role": "pod"}
    keep = {
        "source_labels": ["__meta_kubernetes_pod_container_port_name"],
        "regex": "status",
        "action": "keep",
    }
    named = {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"}
    job = {
        "job_name": "pods",
        "metrics_path": "/metrics",
        "kubernetes_sd_configs": [found],
        "relabel_configs": [keep, named],
    }
    return {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}


def test_what_prometheus_finds_scales_up(
    new_place: NewPlace, figures: Figures, prometheus: str
) -> None:
    place = new_place("native")
    query = QUERY.replace("NAMESPACE", place.variant.namespace)
    place.deploy(
        Overlay(
            "native-keda-prometheus",
            place.variant,
            patches=[
                keda("maxReplicaCount", 3),
                keda("triggers/0/metadata/serverAddress", prometheus),
                keda("triggers/0/metadata/query", query),
            ],
        )
    )
    place.await_ready(1)
    wait_until(lambda: ask(prometheus, query), 60, "the workers' lag is found")
    run = Run(place.variant, BACKLOG).start()
    wait_until(lambda: place.ready() > 1, 150, "there is a second pod")
    verdict = run.finish_sending().judge(60)
    figures.note_verdict("lag by Prometheus, 1 to 3", "native", verdict)
    assert verdict.promises_kept, verdict


@pytest.fixture
def secured(rig: Rig, tmp_path: Path) -> Iterator[Place]:
    """A place whose broker asks for a password over TLS, with the Secrets that Strimzi makes."""
    with Cluster.start(tmp_path / "cluster", host=HOST, security="sasl_ssl") as cluster:
        found = _variant(cluster)
        settings = load_settings(found.environ, use_local_cluster=False)
        make_topics(AdminClient(found.client), found)
        user = cluster.user(USER, worker_rights(settings))
        authority = Path(user["KAFKA_SSL_CA_CERT_FILE"]).read_text("ascii")
        rig.apply(
            namespace(found.namespace),
            _secret(found, "kmnist", password=user["KAFKA_SASL_PASSWORD"]),
            _secret(found, "stream-cluster-ca-cert", **{"ca.crt": authority}),
        )
        place = Place(rig, found, tmp_path)
        try:
            yield place
        finally:
            place.clear()


def _variant(cluster: Cluster) -> Variant:
    return replace(
        variant("native", cluster.bootstrap),
        namespace="by-native-sasl-ssl",
        client=client_config(cluster.folder, cluster.state),
    )


def _secret(where: Variant, name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": where.namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


def test_lag_behind_a_password_and_tls_scales_from_none_and_back(
    secured: Place, figures: Figures
) -> None:
    patches = [keda("maxReplicaCount", 2), keda("cooldownPeriod", 15)]
    secured.deploy(Overlay("native-keda-lag-sasl-ssl", secured.variant, patches=patches))
    secured.await_ready(0)
    run = Run(secured.variant, 3000).start().finish_sending()
    wait_until(lambda: secured.ready() >= 1, 120, "one pod is ready")
    verdict = run.judge(60)
    figures.note_verdict("lag over SASL and TLS, 0 to 1 to 0", "native", verdict)
    assert verdict.promises_kept, verdict
    secured.await_ready(0, within_s=300)
