"""The other triggers of KEDA: a query to Prometheus, and lag with a password and TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from kafka.cluster.local import Cluster
from kafka.cluster.security import client_config
from seldon_kafka.config.rights import worker_rights
from seldon_kafka.config.settings import load_settings
from tests.kubernetes.conftest import NewNamespace, make_topics
from tests.kubernetes.figures import Figures
from tests.kubernetes.operators import namespace_manifest
from tests.kubernetes.overlays import Overlay, Variant, keda, variant
from tests.kubernetes.rig import HOST, Rig
from tests.kubernetes.stream_namespace import StreamNamespace
from tests.kubernetes.traffic import Run
from tests.support.prometheus import ask, prometheus
from tests.support.stream import wait_until

pytestmark = [pytest.mark.full, pytest.mark.alone, pytest.mark.timeout(900)]

# One pod does not answer all of it before the autoscaler's first poll.
BACKLOG = 150_000
# The query of components/keda-prometheus.
QUERY = 'sum(kafka_worker_lag_messages{namespace="NAMESPACE"})'
# The port `status` of sdep/base.
STATUS_PORT = 8080
USER = "kmnist"


class Targets:
    """The targets of Prometheus: the status ports of a namespace's pods, as in the PodMonitor."""

    def __init__(self, namespace: StreamNamespace, folder: Path) -> None:
        self._namespace, self._file = namespace, folder / "pods.json"
        self.config: dict[str, Any] = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [
                {
                    "job_name": "pods",
                    "metrics_path": "/metrics",
                    "file_sd_configs": [{"files": [str(self._file)], "refresh_interval": "1s"}],
                }
            ],
        }

    def update(self) -> None:
        """Writes the current pods to the file that Prometheus reads."""
        ips = [pod["status"].get("podIP") for pod in self._namespace.pods()]
        targets = [f"{ip}:{STATUS_PORT}" for ip in ips if ip]
        labels = {"namespace": self._namespace.variant.namespace}
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps([{"targets": targets, "labels": labels}]), "utf-8")
        new.replace(self._file)


def test_a_query_to_prometheus_scales_up(
    new_namespace: NewNamespace, figures: Figures, tmp_path: Path
) -> None:
    namespace = new_namespace("native")
    query = QUERY.replace("NAMESPACE", namespace.variant.namespace)
    targets = Targets(namespace, tmp_path)
    with prometheus(tmp_path, targets.config) as url:
        namespace.deploy(
            Overlay(
                "native-keda-prometheus",
                namespace.variant,
                patches=[
                    keda("maxReplicaCount", 3),
                    keda("triggers/0/metadata/serverAddress", url),
                    keda("triggers/0/metadata/query", query),
                ],
            )
        )
        namespace.await_ready(1)
        targets.update()
        wait_until(lambda: ask(url, query), 60, "the workers' lag is found")
        run = Run(namespace.variant, BACKLOG).start()

        def are_more() -> bool:
            targets.update()
            return namespace.ready() > 1

        wait_until(are_more, 150, "there is a second pod")
        verdict = run.finish_sending().judge(60)
    figures.record_verdict("lag by Prometheus, 1 to 3", "native", verdict)
    assert verdict.promises_kept, verdict


@pytest.fixture
def secured(rig: Rig, tmp_path: Path) -> Iterator[StreamNamespace]:
    """Creates a namespace whose broker needs a password and TLS, with Secrets as from Strimzi."""
    with Cluster.start(tmp_path / "cluster", host=HOST, security="sasl_ssl") as cluster:
        found = _variant(cluster)
        environ = {**found.environ, "KAFKA_GROUP_ID": found.group}
        settings = load_settings(environ)
        make_topics(AdminClient(found.client), found)
        user = cluster.user(USER, worker_rights(settings))
        authority = Path(user["KAFKA_SSL_CA_CERT_FILE"]).read_text("ascii")
        rig.apply(
            namespace_manifest(found.namespace),
            _secret(found, "kmnist", password=user["KAFKA_SASL_PASSWORD"]),
            _secret(found, "stream-cluster-ca-cert", **{"ca.crt": authority}),
        )
        namespace = StreamNamespace(rig, found, tmp_path)
        try:
            yield namespace
        finally:
            namespace.clear()


def _variant(cluster: Cluster) -> Variant:
    return replace(
        variant("native", cluster.bootstrap),
        namespace="by-native-sasl-ssl",
        client=client_config(cluster.folder, cluster.state),
    )


def _secret(variant: Variant, name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": variant.namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


def test_lag_with_a_password_and_tls_scales_from_zero_and_back(
    secured: StreamNamespace, figures: Figures
) -> None:
    patches = [keda("maxReplicaCount", 2), keda("cooldownPeriod", 15)]
    secured.deploy(Overlay("native-keda-lag-sasl-ssl", secured.variant, patches=patches))
    secured.await_ready(0)
    run = Run(secured.variant, 3000).start().finish_sending()
    wait_until(lambda: secured.ready() >= 1, 120, "one pod is ready")
    verdict = run.judge(60)
    figures.record_verdict("lag over SASL and TLS, 0 to 1 to 0", "native", verdict)
    assert verdict.promises_kept, verdict
    secured.await_ready(0, within_s=300)
