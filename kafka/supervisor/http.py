"""`/live`, `/ready`, `/status` and `/metrics` for probes, people and Prometheus, and `/v2/…`."""

from __future__ import annotations

import http.server
import json
import threading
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from kafka.supervisor import open_inference
from kafka.supervisor.open_inference import Served

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_NOT_FOUND = (404, _TEXT, b"there is /live, /ready, /status, /metrics and /v2/models/NAME/infer\n")

Answer = Tuple[int, str, bytes]
_LOOK_EVERY_S = 0.05


class Report(NamedTuple):
    """What the supervisor says of itself.

    Attributes:
        live: it goes about its work.
        why_not_ready: everything that is missing; ready if empty.
        status: everything, for `/status`.
    """

    live: bool
    why_not_ready: List[str]
    status: Dict[str, Any]


class StatusServer:
    """Serves the report over HTTP, from threads of its own.

    Args:
        host: address to listen on.
        port: port; 0 picks a free one.
        report: asked at each request.
        metrics_folder: where the workers write their metrics.
        served: the model behind `/v2/…`.
        max_bytes: larger requests are refused.

    Raises:
        OSError: the port can't be had.
    """

    def __init__(
        self,
        host: str,
        port: int,
        report: Callable[[], Report],
        metrics_folder: str,
        served: Served,
        max_bytes: int,
    ) -> None:
        self._report = report
        self._metrics_folder = metrics_folder
        self._served = served
        handler = _handler(self._get, self._post, max_bytes)
        self._server = http.server.ThreadingHTTPServer((host, port), handler)
        self._server.daemon_threads = True
        # It looks so often whether it is to stop, and whoever stops it waits for that.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_EVERY_S,), daemon=True
        )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Starts to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()

    def _post(self, path: str, body: bytes) -> Answer:
        return _as_json(open_inference.answer_post(path, body, self._served))

    def _get(self, path: str) -> Answer:
        report = self._report()
        if path == "/live":
            return (200, _TEXT, b"live\n") if report.live else (503, _TEXT, b"not live\n")
        if path == "/ready":
            if not report.why_not_ready:
                return 200, _TEXT, b"ready\n"
            return 503, _TEXT, ("\n".join(report.why_not_ready) + "\n").encode("utf-8")
        if path == "/status":
            return 200, _JSON, json.dumps(report.status).encode("utf-8")
        if path == "/metrics":
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=self._metrics_folder)
            return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
        return _as_json(open_inference.answer_get(path, self._served, not report.why_not_ready))


def _as_json(answer: Optional[open_inference.Answer]) -> Answer:
    if answer is None:
        return _NOT_FOUND
    return answer[0], _JSON, json.dumps(answer[1]).encode("utf-8")


def _handler(
    get: Callable[[str], Answer], post: Callable[[str, bytes], Answer], max_bytes: int
) -> Any:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(get(self.path.split("?")[0]))

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > max_bytes:
                self.close_connection = True
                error = f"Content-Length must be given, and at most {max_bytes}"
                self._send(_as_json((413, {"error": error})))
                return
            self._send(post(self.path.split("?")[0], self.rfile.read(int(length))))

        def _send(self, answer: Answer) -> None:
            status, content_type, body = answer
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Probes come every few seconds; they are not logged."""

    return Handler
