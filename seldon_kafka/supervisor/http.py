"""Serves `/live`, `/ready`, `/status`, `/metrics` and `/v2/…` over HTTP."""

from __future__ import annotations

import json
import logging
import struct
import threading
import time
from typing import Callable, List, NamedTuple, Optional

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from seldon_kafka.messages import JsonObject
from seldon_kafka.supervisor import open_inference
from seldon_kafka.supervisor.listener import Answer, Listener, line
from seldon_kafka.supervisor.open_inference import Served

log = logging.getLogger("seldon_kafka.supervisor")

_JSON = "application/json"
_OWN_PATHS = ("/live", "/ready", "/status", "/metrics")
_NOT_FOUND = line(404, "use /live, /ready, /status, /metrics or /v2/models/NAME/infer")

_CHECK_EVERY_S = 0.05
_METRICS_TRIES = 50
_METRICS_AGAIN_S = 0.01


class Report(NamedTuple):
    """The state of the replica.

    Attributes:
        live: whether the supervisor's loop has run within the last ten seconds.
        why_not_ready: reasons why the replica is not ready; empty if it is ready.
        status: the JSON document of `/status`.
    """

    live: bool
    why_not_ready: List[str]
    status: JsonObject


class StatusServer:
    """Serves the replica's state, metrics and model over HTTP, in separate threads.

    Args:
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        report: returns the state of the replica; called at each GET or HEAD request.
        metrics_folder: folder with the metrics of the workers.
        served: the model behind `/v2/…`.
        max_bytes: largest body of a request, in bytes.

    Raises:
        OSError: the port is not available.
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
        self._server = Listener(host, port, self._get, self._post, max_bytes)
        # The server checks at this interval whether it was asked to stop; `stop` waits for that.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_CHECK_EVERY_S,), daemon=True
        )

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Starts to answer requests."""
        self._thread.start()

    def stop(self) -> None:
        """Stops answering requests."""
        self._server.shutdown()
        self._server.server_close()

    def _post(self, path: str, body: bytes) -> Answer:
        if path in _OWN_PATHS:
            return line(405, "this path takes GET only", allow="GET, HEAD")
        return _guarded(lambda: _as_json(open_inference.answer_post(path, body, self._served)))

    def _get(self, path: str) -> Answer:
        return _guarded(lambda: self._read(path))

    def _read(self, path: str) -> Answer:
        report = self._report()
        if path == "/live":
            return line(200, "live") if report.live else line(503, "not live")
        if path == "/ready":
            if not report.why_not_ready:
                return line(200, "ready")
            return line(503, "\n".join(report.why_not_ready))
        if path == "/status":
            return Answer(200, _JSON, json.dumps(report.status).encode("utf-8"))
        if path == "/metrics":
            return Answer(200, CONTENT_TYPE_LATEST, self._metrics())
        if open_inference.is_infer(path):
            return line(405, "inference takes POST only", allow="POST")
        return _as_json(open_inference.answer_get(path, self._served, not report.why_not_ready))

    def _metrics(self) -> bytes:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=self._metrics_folder)
        for _ in range(_METRICS_TRIES):
            try:
                return bytes(generate_latest(registry))
            except struct.error:
                # A starting worker has created its metrics file, which is still empty.
                time.sleep(_METRICS_AGAIN_S)
        return bytes(generate_latest(registry))


def _guarded(answer: Callable[[], Answer]) -> Answer:
    try:
        return answer()
    except Exception:
        # Only the log gets the reason, because a client must not see it.
        log.exception("a request can't be answered")
        return line(500, "internal error")


def _as_json(answer: Optional[open_inference.Answer]) -> Answer:
    if answer is None:
        return _NOT_FOUND
    return Answer(answer[0], _JSON, json.dumps(answer[1]).encode("utf-8"))
