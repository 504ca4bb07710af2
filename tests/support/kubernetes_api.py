"""An HTTP API server for the tests' cluster, as far as the dashboard and kubectl need it."""

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

from tests.support.kubernetes_cluster import NAMESPACE, Cluster, Document
from tests.support.kubernetes_documents import (
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
    """The response to a request."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class Refusal(Exception):
    """The API server refuses a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ApiServer:
    """Serves a cluster, and checks the token and the rights.

    Args:
        cluster: the cluster.
        tls: the server's TLS context; None for plain HTTP.

    Attributes:
        url: the URL of the server.
        forbidden: rights that are not granted, such as `list pods` or `list deployments.apps`.
        used: rights that requests have needed.
        measures: whether there is a metrics server.
        pod_port: the local port behind the proxy of every pod.
        overrides: responses that replace the right ones, by method and path (`GET /api`).
        requests: method, path and body of all requests.
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
        """Serves requests in threads during the context."""
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
        # The path is unquoted later, because a name may contain an escaped slash.
        self.requests.append((method, parts.path, body))
        if f"{method} {parts.path}" in self.overrides:
            return self.overrides[f"{method} {parts.path}"]
        try:
            if token.lower() != f"bearer {TOKEN}":
                raise Refusal(401, "Unauthorized")
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            return self._route(method, parts.path, query, body)
        except Refusal as refusal:
            return _json(status(refusal.status, str(refusal)), refusal.status)

    def _route(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if method == "GET" and path in DISCOVERY:
            return _json(DISCOVERY[path])
        found = _IN_NAMESPACE.fullmatch(path)
        if found is None:
            raise Refusal(404, "the server could not find the requested resource")
        group, namespace, kind, rest = found.groups()
        if namespace != NAMESPACE:
            raise Refusal(404, f'namespaces "{namespace}" not found')
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
        raise Refusal(404, "the server could not find the requested resource")

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
                raise Refusal(404, f'pods "{name}" not found')
            if method == "GET":
                return _json(copy.deepcopy(pod))
            self._check("delete pods")
            wanted = ((body or {}).get("preconditions") or {}).get("uid")
            if wanted not in (None, pod["metadata"]["uid"]):
                raise Refusal(
                    409, f'Operation cannot be fulfilled on Pod "{name}": the UID differs'
                )
            return _json(
                copy.deepcopy(self.cluster.delete(name, (body or {}).get("gracePeriodSeconds")))
            )

    def _seldon(self, method: str, name: str, body: Any) -> Answer:
        manifest = self.cluster.manifest
        if name != manifest["metadata"]["name"]:
            raise Refusal(404, f'seldondeployments.{SELDON} "{name}" not found')
        if method == "GET":
            self._check("get seldondeployments", SELDON)
            return _json(manifest)
        self._check("patch seldondeployments", SELDON)
        with self.cluster.changed:
            manifest = self.cluster.manifest
            version = manifest["metadata"]["resourceVersion"]
            patched = apply_patch(manifest, body)
            if patched["metadata"]["resourceVersion"] != version:
                raise Refusal(409, f'Operation cannot be fulfilled on seldondeployments "{name}"')
            self.cluster.store(patched)
            return _json(self.cluster.manifest)

    def _proxied(self, name: str, path: str) -> Answer:
        if name not in self.cluster.pods:
            raise Refusal(404, f'pods "{name}" not found')
        connection = http.client.HTTPConnection("127.0.0.1", self.pod_port, timeout=10)
        try:
            connection.request("GET", path or "/")
            response = connection.getresponse()
            kind = response.getheader("Content-Type", "text/plain")
            return Answer(response.status, response.read(), kind)
        except OSError as error:
            raise Refusal(503, f"error trying to reach service: {error}") from error
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
        """Waits for the end of a pod, and returns the event that kubectl watches for."""
        with self.cluster.changed:
            pod = self.cluster.pods.get(name, {})
            self.cluster.changed.wait_for(lambda: name not in self.cluster.pods, _WATCH_S)
        return _json({"type": "DELETED", "object": copy.deepcopy(pod)})

    def _check(self, right: str, group: str = "") -> None:
        whole = f"{right}.{group}" if group else right
        self.used.add(whole)
        if whole in self.forbidden:
            verb, resource = right.split()
            raise Refusal(
                403,
                f"{whole.partition(' ')[2]} is forbidden: "
                f'User "system:serviceaccount:{NAMESPACE}:dashboard" cannot {verb} resource '
                f'"{resource}" in API group "{group}" in the namespace "{NAMESPACE}"',
            )


def apply_patch(document: Document, operations: list[Document]) -> Document:
    """Applies a JSON patch (RFC 6902); a failed patch is refused as by Kubernetes."""
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
            raise Refusal(
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
            with suppress(OSError):  # the client may have closed the connection
                self.wfile.write(answer.body)

        def log_message(self, *args: object) -> None:
            pass

    return Handler
