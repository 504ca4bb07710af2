"""A search engine for tests: the documented `_bulk` protocol over real HTTP, and trouble at will.

https://docs.opensearch.org/latest/api-reference/document-apis/bulk/
"""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

Answer = tuple[int, Any]
Documents = dict[str, dict[str, Any]]


class FakeEngine:
    """Keeps documents in memory, as strictly as the real ones read them.

    Attributes:
        indices: index -> id -> document.
        made: index -> what it was made with.
        requests: sizes of all `_bulk` requests, by their documents.
        troubles: answers to give to the next `_bulk` requests in place of the right one.
        refuses: for a document, its status and reason if it is refused.
        most_bytes: larger requests are answered with 413.
        authorization: the header that is asked for, if any.
    """

    def __init__(self) -> None:
        self.indices: dict[str, Documents] = {}
        self.made: dict[str, Any] = {}
        self.requests: list[int] = []
        self.troubles: list[Answer] = []
        self.refuses: Callable[[str, Any], tuple[int, str] | None] = lambda index, document: None
        self.most_bytes = 2**30
        self.authorization: str | None = None
        self.lock = threading.Lock()
        engine = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with engine.lock:
                    status, found = engine.answer(self.command, self.path, self.headers, body)
                content = b"" if self.command == "HEAD" else json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_HEAD(self) -> None:
                self._serve()

            def do_PUT(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def log_message(self, *args: object) -> None:
                """Requests are no news."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def documents(self, index: str) -> Documents:
        with self.lock:
            return dict(self.indices.get(index, {}))

    @contextlib.contextmanager
    def serving(self) -> Iterator[FakeEngine]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> Answer:
        if self.authorization is not None and headers.get("Authorization") != self.authorization:
            return 401, error("security_exception", "missing authentication credentials")
        name = path.strip("/")
        if method == "HEAD":
            return (200 if name in self.made else 404), None
        if method == "PUT":
            return self._make(name, body)
        assert (method, path) == ("POST", "/_bulk")
        assert headers["Content-Type"] == "application/x-ndjson"
        if self.troubles:
            return self.troubles.pop(0)
        if len(body) > self.most_bytes:
            return 413, None
        return self._bulk(body)

    def _make(self, name: str, body: bytes) -> Answer:
        if name in self.made:
            return 400, error("resource_already_exists_exception", f"index [{name}] exists")
        self.made[name] = json.loads(body)
        return 200, {"acknowledged": True, "index": name}

    def _bulk(self, body: bytes) -> Answer:
        assert body.endswith(b"\n")
        lines = body[:-1].split(b"\n")
        assert len(lines) % 2 == 0
        self.requests.append(len(lines) // 2)
        pairs = zip(lines[::2], lines[1::2], strict=True)
        items = [self._index(json.loads(action)["index"], line) for action, line in pairs]
        return 200, {
            "took": 1,
            "errors": any("error" in item for item in items),
            "items": [{"index": item} for item in items],
        }

    def _index(self, action: dict[str, str], line: bytes) -> dict[str, Any]:
        assert len(action["_id"]) <= 512
        index = action["_index"]
        assert index in self.made, "it would be made with a mapping of its own"
        document = json.loads(line, object_pairs_hook=without_doubled_keys)
        refusal = self.refuses(index, document)
        if refusal is not None:
            return {**action, "status": refusal[0], **error("mapper_exception", refusal[1])}
        known = self.indices.setdefault(index, {})
        status = 200 if action["_id"] in known else 201
        known[action["_id"]] = document
        return {**action, "status": status}


def error(kind: str, reason: str) -> dict[str, Any]:
    return {"error": {"type": kind, "reason": reason}}


def without_doubled_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), "a doubled key"
    return found
