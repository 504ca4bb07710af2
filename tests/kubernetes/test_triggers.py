"""The other triggers of KEDA: a query to Prometheus, and lag behind a password and TLS."""

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
from tests.kubernetes.conftest import NewPlace, make_topics
from tests.kubernetes.figures import Figures
from tests.kubernetes.operators import namespace
from tests.kubernetes.overlays import Overlay, Variant, keda, variant
from tests.kubernetes.place import Place
from tests.kubernetes.rig import HOST, Rig
from tests.kubernetes.traffic import Run
from tests.sdep.prometheus import ask, prometheus
from tests.support.stream import wait_until

pytestmark = [pytest.mark.full, pytest.mark.alone, pytest.mark.timeout(900)]

# More than one pod answers before the autoscaler has looked.
BACKLOG = 150_000
# Of components/keda-prometheus.
QUERY = 'sum(kafka_worker_lag_messages{namespace="NAMESPACE"})'
# Of sdep/base, by name `status`.
STATUS_PORT = 8080
USER = "kmnist"


class Watched:
    """What a Prometheus reads, as the PodMonitor says: the status ports of a place's pods."""

    def __init__(self, place: Place, folder: Path) -> None:
        self._place, self._file = place, folder / "pods.json"
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

    def look(self) -> None:
        """Tells of the pods that are there now; Prometheus reads the file when it is whole."""
        ips = [pod["status"].get("podIP") for pod in self._place.pods()]
        targets = [f"{ip}:{STATUS_PORT}" for ip in ips if ip]
        labels = {"namespace": self._place.variant.namespace}
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps([{"targets": targets, "labels": labels}]), "utf-8")
        new.replace(self._file)


def test_what_prometheus_finds_scales_up(
    new_place: NewPlace, figures: Figures, tmp_path: Path
) -> None:
    place = new_place("native")
    query = QUERY.replace("NAMESPACE", place.variant.namespace)
    watched = Watched(place, tmp_path)
    with prometheus(tmp_path, watched.config) as url:
        place.deploy(
            Overlay(
                "native-keda-prometheus",
                place.variant,
                patches=[
                    keda("maxReplicaCount", 3),
                    keda("triggers/0/metadata/serverAddress", url),
                    keda("triggers/0/metadata/query", query),
                ],
            )
        )
        place.await_ready(1)
        watched.look()
        wait_until(lambda: ask(url, query), 60, "the workers' lag is found")
        run = Run(place.variant, BACKLOG).start()

        def are_more() -> bool:
            watched.look()
            return place.ready() > 1

        wait_until(are_more, 150, "there is a second pod")
        verdict = run.finish_sending().judge(60)
    figures.note_verdict("lag by Prometheus, 1 to 3", "native", verdict)
    assert verdict.promises_kept, verdict


@pytest.fixture
def secured(rig: Rig, tmp_path: Path) -> Iterator[Place]:
    """A place whose broker asks for a password over TLS, with the Secrets that Strimzi makes."""
    with Cluster.start(tmp_path / "cluster", host=HOST, security="sasl_ssl") as cluster:
        found = _variant(cluster)
        environ = {**found.environ, "KAFKA_GROUP_ID": found.group}
        settings = load_settings(environ)
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
