"""`/live`, `/ready`, `/status` and `/metrics` for probes, people and Prometheus."""

from __future__ import annotations

import http.server
import json
import threading
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_TEXT = "text/plain; charset=utf-8"
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

    Raises:
        OSError: the port can't be had.
    """

    def __init__(
        self, host: str, port: int, report: Callable[[], Report], metrics_folder: str
    ) -> None:
        self._report = report
        self._metrics_folder = metrics_folder
        self._server = http.server.ThreadingHTTPServer((host, port), _handler(self._answer))
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

    def _answer(self, path: str) -> Tuple[int, str, bytes]:
        report = self._report()
        if path == "/live":
            return (200, _TEXT, b"live\n") if report.live else (503, _TEXT, b"not live\n")
        if path == "/ready":
            if not report.why_not_ready:
                return 200, _TEXT, b"ready\n"
            return 503, _TEXT, ("\n".join(report.why_not_ready) + "\n").encode("utf-8")
        if path == "/status":
            return 200, "application/json", json.dumps(report.status).encode("utf-8")
        if path == "/metrics":
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=self._metrics_folder)
            return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
        return 404, _TEXT, b"there is /live, /ready, /status and /metrics\n"


def _handler(answer: Callable[[str], Tuple[int, str, bytes]]) -> Any:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content_type, body = answer(self.path.split("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Probes come every few seconds; they are not logged."""

    return Handler
