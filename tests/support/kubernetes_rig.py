"""A cluster, its API server, and the dashboard's backend."""

from __future__ import annotations

import base64
import copy
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from consumer.dashboard.fleet import Action, Instance
from consumer.dashboard.kubernetes import KubernetesBackend
from kafka.cluster.certificates import Identity, issue
from tests.support.kubernetes_api import ApiServer
from tests.support.kubernetes_cluster import NAME, NAMESPACE, Cluster, Document
from tests.support.kubernetes_documents import kubeconfig
from tests.support.manifests import documents
from tests.support.stream import wait_until

MANIFEST = documents("base/deployment.yaml")[0]
KEDA = {
    "minReplicaCount": 1,
    "maxReplicaCount": 4,
    "triggers": [
        {"type": "cpu", "metadata": {"value": "80"}},
        {
            "type": "kafka",
            "metadata": {
                "bootstrapServers": "stream-kafka-bootstrap:9092",
                "consumerGroup": "kmnist",
                "topic": "model_input",
                "lagThreshold": "100",
            },
        },
    ],
}
HPA = {"minReplicas": 2, "maxReplicas": 5, "metricsv2": []}


def component(manifest: Document) -> Document:
    found: Document = manifest["spec"]["predictors"][0]["componentSpecs"][0]
    return found


def with_component(**fields: object) -> Document:
    manifest = copy.deepcopy(MANIFEST)
    component(manifest).update(fields)
    return manifest


def keda_of(manifest: Document) -> list[object]:
    """Returns minimum, maximum and lag of a `kedaSpec`."""
    spec = component(manifest)["kedaSpec"]
    lag = spec["triggers"][1]["metadata"]["lagThreshold"]
    return [spec["minReplicaCount"], spec["maxReplicaCount"], lag]


class Rig:
    """A cluster, its API server, and the dashboard's backend."""

    def __init__(self, cluster: Cluster, api: ApiServer, folder: Path) -> None:
        self.cluster, self.api, self.folder = cluster, api, folder
        self.backend = KubernetesBackend(NAMESPACE, NAME)

    def running(self) -> list[Instance]:
        return [each for each in self.backend.snapshot().instances if each.ended_s is None]

    def await_ready(self, count: int) -> list[Instance]:
        def ready() -> list[Instance]:
            found = self.running()
            return found if len(found) == count and all(each.ready for each in found) else []

        found: list[Instance] = wait_until(ready, 5, f"exactly {count} ready pods")
        return found

    def await_ended(self, name: str) -> Instance:
        def ended() -> list[Instance]:
            found = self.backend.snapshot().instances
            return [each for each in found if each.name == name and each.ended_s is not None]

        (found,) = wait_until(ended, 5, f"the end of {name}")
        instance: Instance = found
        return instance

    def events_of(self, name: str) -> list[tuple[str, str]]:
        events = self.backend.snapshot().events
        assert [each.number for each in events] == list(range(1, len(events) + 1))
        return [(each.what, each.why) for each in events if each.name == name]


Start = Callable[..., Rig]


@contextmanager
def starting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Yields a function that starts a cluster, with the default manifest or another one."""
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with ExitStack() as stack:

        def begin(
            manifest: Document = MANIFEST, *, authority: Identity | None = None, **settings: float
        ) -> Rig:
            cluster = stack.enter_context(Cluster(manifest, **settings))
            tls = server_side(authority, folder) if authority else None
            api = stack.enter_context(ApiServer(cluster, tls).serving())
            trusted = {"certificate_authority_data": in_base64(authority)} if authority else {}
            monkeypatch.setenv("KUBECONFIG", str(kubeconfig(folder, api.url, **trusted)))
            rig = Rig(cluster, api, folder)
            stack.callback(rig.backend.close)
            return rig

        yield begin


def server_side(authority: Identity, folder: Path) -> ssl.SSLContext:
    identity = issue(authority, "kube-apiserver", server=True)
    (folder / "server.pem").write_text(identity.certificate + identity.key, "ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


def in_base64(authority: Identity) -> str:
    return base64.b64encode(authority.certificate.encode()).decode()


def run(action: Action) -> tuple[int, str]:
    lines: list[str] = []
    return action.run(lines.append), "\n".join(lines)
