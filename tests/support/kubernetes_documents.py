"""Documents of an API server, and the kubeconfig to reach it."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.support.kubernetes_cluster import Document

TOKEN = "a-token-that-nobody-prints"
SELDON = "machinelearning.seldon.io"

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    422: "Invalid",
    503: "ServiceUnavailable",
}


def kubeconfig(folder: Path, server: str, *, token: str = TOKEN, **cluster: str | bool) -> Path:
    """Writes a kubeconfig with the context `test`, and `nowhere`, whose server does not exist."""
    path = folder / "kubeconfig"
    settings = {name.replace("_", "-"): value for name, value in cluster.items()}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [
            {"name": "test", "cluster": {"server": server, **settings}},
            {"name": "nowhere", "cluster": {"server": "http://127.0.0.1:9"}},
        ],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [
            {"name": "test", "context": {"cluster": "test", "user": "test"}},
            {"name": "nowhere", "context": {"cluster": "nowhere", "user": "test"}},
        ],
    }
    path.write_text(yaml.safe_dump(document), "utf-8")
    return path


def status(code: int, message: str) -> Document:
    """Returns the status document of a refusal."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": _REASONS[code],
        "code": code,
    }


def listed(kind: str, items: list[Document]) -> Document:
    """Returns a list document of objects of a kind."""
    return {
        "kind": f"{kind}List",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": "1"},
        "items": items,
    }


def measured(pod: Document) -> Document:
    """Returns a metrics server's document of a pod with 50 MiB."""
    usage = {"cpu": "12m", "memory": "51200Ki"}
    return {
        "metadata": {"name": pod["metadata"]["name"]},
        "containers": [{"name": "classifier", "usage": usage}],
    }


def _resource(name: str, kind: str, verbs: str, *short: str) -> Document:
    return {
        "name": name,
        "singularName": kind.lower(),
        "namespaced": True,
        "kind": kind,
        "verbs": verbs.split(),
        "shortNames": list(short),
    }


def _resources(version: str, *resources: Document) -> Document:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": list(resources),
    }


def _group(name: str) -> Document:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


DISCOVERY: dict[str, Document] = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.4"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group("apps"), _group(SELDON)],
    },
    "/api/v1": _resources("v1", _resource("pods", "Pod", "delete get list watch", "po")),
    "/apis/apps/v1": _resources(
        "apps/v1", _resource("deployments", "Deployment", "get list", "deploy")
    ),
    f"/apis/{SELDON}/v1": _resources(
        f"{SELDON}/v1", _resource("seldondeployments", "SeldonDeployment", "get patch", "sdep")
    ),
}
