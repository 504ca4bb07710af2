"""An API server for a cluster, as far as the dashboard and kubectl need one: real HTTP."""

from __future__ import annotations

import copy
import http.client
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from tests.consumer.kubernetes_cluster import NAMESPACE, Cluster, Document
from tests.consumer.kubernetes_documents import (
    DISCOVERY,
    SELDON,
    TOKEN,
    listed,
    measured,
    status,
)

_METRICS = "metrics.k8s.io"
_IN_NAMESPACE = re.compile(r"(/api/v1|/apis/[^/]+/[^/]+)/namespaces/([^/]+)/([^/]+)(/.*)?")
_WATCH_S = 20.0


class Answer(NamedTuple):
    """What a request is answered with."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class No(Exception):
    """The API server's refusal."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ApiServer:
    """Serves a cluster; checks the token, and who may do what.

    Attributes:
        url: Where it is.
        forbidden: What is not granted: `list pods`, `list deployments.apps`.
        used: What had to be granted up to now.
        measures: Whether there is a metrics server.
        pod_port: The port of this machine that the proxy of every pod leads to.
        overrides: Answers for methods and paths (`GET /api`), instead of the right ones.
        requests: Method, path and body of all that was asked.
    """

    def __init__(self, cluster: Cluster, tls: ssl.SSLContext | None = None) -> None:
        self.cluster = cluster
        self.forbidden: set[str] = set()
        self.used: set[str] = set()
        self.measures = True
        self.pod_port = 0
        self.overrides: dict[str, Answer] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.server.block_on_close = False
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = int(self.server.server_address[1])
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Iterator[ApiServer]:
        """Answers from threads of its own."""
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            thread.join()
            self.server.server_close()

    def answer(self, method: str, target: str, token: str, body: Any) -> Answer:
        """Answers a request."""
        parts = urlsplit(target)
        # One name may hold an escaped slash, so that this is not yet the time to unquote.
        self.requests.append((method, parts.path, body))
        if f"{method} {parts.path}" in self.overrides:
            return self.overrides[f"{method} {parts.path}"]
        try:
            if token.lower() != f"bearer {TOKEN}":
                raise No(401, "Unauthorized")
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            return self._route(method, parts.path, query, body)
        except No as no:
            return _json(status(no.status, str(no)), no.status)

    def _route(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if method == "GET" and path in DISCOVERY:
            return _json(DISCOVERY[path])
        found = _IN_NAMESPACE.fullmatch(path)
        if found is None:
            raise No(404, "the server could not find the requested resource")
        group, namespace, kind, rest = found.groups()
        if namespace != NAMESPACE:
            raise No(404, f'namespaces "{namespace}" not found')
        name, _, inside = (rest or "").lstrip("/").partition("/")
        name = unquote(name)
        if kind == "pods" and group == "/api/v1":
            return self._pods(method, name, inside, query, body)
        if kind == "deployments" and group == "/apis/apps/v1" and not name:
            self._check("list deployments", "apps")
            return _json(listed("Deployment", [self.cluster.deployment]))
        if kind == "seldondeployments" and group == f"/apis/{SELDON}/v1":
            return self._seldon(method, name, body)
        if kind == "pods" and group == f"/apis/{_METRICS}/v1beta1" and self.measures:
            self._check("list pods", _METRICS)
            return _json(listed("PodMetrics", [measured(pod) for pod in self._chosen(query)]))
        raise No(404, "the server could not find the requested resource")

    def _pods(
        self, method: str, name: str, inside: str, query: dict[str, str], body: Any
    ) -> Answer:
        if inside.startswith("proxy"):
            self._check("get pods/proxy")
            return self._proxied(name.partition(":")[0], inside[len("proxy") :])
        if not name:
            if method != "GET":
                raise AssertionError(f"{method} of all pods")
            self._check("list pods")
            if query.get("watch"):
                return self._await_end(query["fieldSelector"].removeprefix("metadata.name="))
            return _json(listed("Pod", self._chosen(query)))
        with self.cluster.changed:
            pod = self.cluster.pods.get(name)
            if pod is None:
                raise No(404, f'pods "{name}" not found')
            if method == "GET":
                return _json(copy.deepcopy(pod))
            self._check("delete pods")
            wanted = ((body or {}).get("preconditions") or {}).get("uid")
            if wanted not in (None, pod["metadata"]["uid"]):
                raise No(409, f'Operation cannot be fulfilled on Pod "{name}": the UID differs')
            return _json(
                copy.deepcopy(self.cluster.delete(name, (body or {}).get("gracePeriodSeconds")))
            )

    def _seldon(self, method: str, name: str, body: Any) -> Answer:
        manifest = self.cluster.manifest
        if name != manifest["metadata"]["name"]:
            raise No(404, f'seldondeployments.{SELDON} "{name}" not found')
        if method == "GET":
            self._check("get seldondeployments", SELDON)
            return _json(manifest)
        self._check("patch seldondeployments", SELDON)
        with self.cluster.changed:
            manifest = self.cluster.manifest
            version = manifest["metadata"]["resourceVersion"]
            patched = patched_by(manifest, body)
            if patched["metadata"]["resourceVersion"] != version:
                raise No(409, f'Operation cannot be fulfilled on seldondeployments "{name}"')
            self.cluster.store(patched)
            return _json(self.cluster.manifest)

    def _proxied(self, name: str, path: str) -> Answer:
        if name not in self.cluster.pods:
            raise No(404, f'pods "{name}" not found')
        connection = http.client.HTTPConnection("127.0.0.1", self.pod_port, timeout=10)
        try:
            connection.request("GET", path or "/")
            response = connection.getresponse()
            kind = response.getheader("Content-Type", "text/plain")
            return Answer(response.status, response.read(), kind)
        except OSError as error:
            raise No(503, f"error trying to reach service: {error}") from error
        finally:
            connection.close()

    def _chosen(self, query: dict[str, str]) -> list[Document]:
        label, _, value = query.get("labelSelector", "").partition("=")
        field = query.get("fieldSelector", "").removeprefix("metadata.name=")
        with self.cluster.changed:
            return [
                copy.deepcopy(pod)
                for name, pod in self.cluster.pods.items()
                if (not label or pod["metadata"]["labels"].get(label) == value)
                and field in ("", name)
            ]

    def _await_end(self, name: str) -> Answer:
        """What kubectl watches for after it deleted a pod, in one piece."""
        with self.cluster.changed:
            pod = self.cluster.pods.get(name, {})
            self.cluster.changed.wait_for(lambda: name not in self.cluster.pods, _WATCH_S)
        return _json({"type": "DELETED", "object": copy.deepcopy(pod)})

    def _check(self, right: str, group: str = "") -> None:
        whole = f"{right}.{group}" if group else right
        self.used.add(whole)
        if whole in self.forbidden:
            verb, resource = right.split()
            raise No(
                403,
                f"{whole.partition(' ')[2]} is forbidden: "
                f'User "system:serviceaccount:{NAMESPACE}:dashboard" cannot {verb} resource '
                f'"{resource}" in API group "{group}" in the namespace "{NAMESPACE}"',
            )


def patched_by(document: Document, operations: list[Document]) -> Document:
    """Applies a JSON patch (RFC 6902); one that fails is refused as Kubernetes does it."""
    document = copy.deepcopy(document)
    for operation in operations:
        *parents, last = operation["path"].split("/")[1:]
        target: Any = document
        try:
            for each in parents:
                target = target[int(each) if isinstance(target, list) else each]
            key = int(last) if isinstance(target, list) else last
            if operation["op"] != "add":
                there = target[key]
                if operation["op"] == "test" and there != operation["value"]:
                    raise KeyError(key)
            if operation["op"] in ("add", "replace"):
                target[key] = operation["value"]
        except (KeyError, IndexError, TypeError) as error:
            raise No(
                422, "the server rejected our request due to an error in our request"
            ) from error
    return document


def _json(document: Document, status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode())


def _handler(api: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def do_PATCH(self) -> None:
            self._answer()

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            token = self.headers.get("Authorization", "")
            answer = api.answer(self.command, self.path, token, body)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers:
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # whoever asked has heard enough
                self.wfile.write(answer.body)

        def log_message(self, *args: object) -> None:
            pass

    return Handler
