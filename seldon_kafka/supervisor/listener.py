"""An HTTP server that clients can't exhaust: it limits the number and duration of connections.

The server answers GET, HEAD and POST with callbacks, and refuses any other request with a status
and a line of text. Its responses do not name its software.
"""

from __future__ import annotations

import http
import http.server
import io
import logging
import socket
import sys
import threading
import time
from typing import Any, Callable, Dict, NamedTuple, Optional

log = logging.getLogger("seldon_kafka.supervisor")

TEXT = "text/plain; charset=utf-8"

# Enough for probes, Prometheus and some clients; further connections get status 503.
_MOST_CONNECTIONS = 32
# Time within which a request must arrive completely, and time-out of writing the answer.
_ARRIVES_WITHIN_S = 30.0
_BUSY = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


class Answer(NamedTuple):
    """The answer to a request.

    Attributes:
        status: HTTP status.
        content_type: content type of the body.
        body: the body.
        allow: value of the header `Allow`: the methods that the path supports; empty if the path
            supports the method of the request.
    """

    status: int
    content_type: str
    body: bytes
    allow: str = ""


def line(status: int, text: str, allow: str = "") -> Answer:
    """Returns an answer with one line of text."""
    return Answer(status, TEXT, f"{text}\n".encode(), allow)


class Listener(http.server.ThreadingHTTPServer):
    """The HTTP server.

    Args:
        host: the only address to listen on.
        port: port to listen on; 0 for any free one.
        get: returns the answer for a path.
        post: returns the answer for a path and a body.
        max_bytes: largest body, in bytes; a larger one is refused before it is read.

    Raises:
        OSError: the port is not available.
    """

    daemon_threads = True
    request_queue_size = _MOST_CONNECTIONS

    def __init__(
        self,
        host: str,
        port: int,
        get: Callable[[str], Answer],
        post: Callable[[str, bytes], Answer],
        max_bytes: int,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.get, self.post, self.max_bytes = get, post, max_bytes
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread for a connection, or refuses it if there are too many connections."""
        if not self._free.acquire(blocking=False):
            request.settimeout(0.0)
            try:
                request.send(_BUSY)
            except OSError:
                log.debug("a connection beyond the limit was closed")
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs errors, except for clients that close the connection."""
        level = logging.DEBUG if isinstance(sys.exc_info()[1], OSError) else logging.ERROR
        log.log(level, "a request failed", exc_info=True)


class _Arriving(io.RawIOBase):
    """Reads a connection up to a deadline, however slowly its bytes arrive."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._until = time.monotonic() + _ARRIVES_WITHIN_S

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(max(0.001, self._until - time.monotonic()))
        return int(self._connection.recv_into(buffer))


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Listener
    # The header `Server` has these words; those of the base class would name Python.
    server_version, sys_version = "supervisor", ""

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Arriving(self.connection))

    def do_GET(self) -> None:
        self._answer(self.server.get(self._bare_path()))

    def do_HEAD(self) -> None:
        self._answer(self.server.get(self._bare_path()))

    def do_POST(self) -> None:
        refused = self._why_refused()
        if refused is not None:
            self._answer(refused)
            return
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            return  # the client closed the connection
        self._answer(self.server.post(self._bare_path(), body))

    def _bare_path(self) -> str:
        return self.path.partition("?")[0]

    def _why_refused(self) -> Optional[Answer]:
        length = self.headers.get("Content-Length")
        if length is None or "Transfer-Encoding" in self.headers:
            return line(411, "a body needs a Content-Length and no transfer encoding")
        # No real length has more digits.
        if not (length.isascii() and length.isdigit()) or len(length) > 18:
            return line(400, "Content-Length is no number")
        if int(length) > self.server.max_bytes:
            return line(413, f"a body may have {self.server.max_bytes} bytes")
        return None

    def _answer(self, answer: Answer) -> None:
        self.connection.settimeout(_ARRIVES_WITHIN_S)
        self.send_response(answer.status)
        headers: Dict[str, str] = {
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
            "Cache-Control": "no-store",
        }
        if answer.allow:
            headers["Allow"] = answer.allow
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_error(self, code: int, message: Any = None, explain: Any = None) -> None:
        """Answers a refused request in one line; the base class would quote the request in HTML."""
        self.close_connection = True
        # Until the base class has parsed a request line, it assumes HTTP/0.9, whose answers have no
        # status.
        self.request_version = self.protocol_version
        if code == http.HTTPStatus.NOT_IMPLEMENTED:
            self._answer(
                line(405, "only GET, HEAD and POST are supported", allow="GET, HEAD, POST")
            )
        else:
            self._answer(line(code, http.HTTPStatus(code).phrase.lower()))

    def log_message(self, *args: object) -> None:
        """Logs nothing: probes arrive every few seconds."""
