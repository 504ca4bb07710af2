"""The supervisor's HTTP port: its answers, its clients, and its limits."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from seldon_kafka.supervisor.http import Report, StatusServer
from seldon_kafka.supervisor.open_inference import Served
from tests.support.stream import wait_until

MOST_BYTES = 10_000
INFER = "/v2/models/model/infer"


class Port:
    """A server, and raw requests to it."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.report = Report(True, [], {"class": "Model"})
        self.host = host
        self.server = StatusServer(
            host, 0, self._report, str(folder), Served("model", None), MOST_BYTES
        )
        self.server.start()

    def _report(self) -> Report:
        return self.report

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.server.port), timeout=10)

    def send(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Returns status, headers and body of the answer; 0 without an answer."""
        with self.connect() as connection:
            with contextlib.suppress(
                OSError
            ):  # an answer may come before the whole request is sent
                connection.sendall(request)
            return answer_on(connection)

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        return self.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{length}\r\n".encode() + body)


def answer_on(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    received = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(status.split()[1]) if status else 0, headers, body


@pytest.fixture
def new_port(tmp_path: Path) -> Iterator[Callable[..., Port]]:
    ports: list[Port] = []

    def make(host: str = "127.0.0.1") -> Port:
        ports.append(Port(tmp_path, host))
        return ports[-1]

    yield make
    for each in ports:
        each.server.stop()


@pytest.fixture
def port(new_port: Callable[..., Port]) -> Port:
    return new_port()


@pytest.mark.parametrize("path", ["/live", "/ready", "/status", "/metrics", "/v2", "/ready?a=b"])
def test_paths_can_be_read_and_not_written(port: Port, path: str) -> None:
    status, headers, body = port.ask("GET", path)
    assert status == 200
    assert int(headers["Content-Length"]) == len(body)
    status, headers, nothing = port.ask("HEAD", path)
    assert (status, nothing) == (200, b"")
    assert int(headers["Content-Length"]) == len(body)
    assert port.ask("POST", path, b"x")[0] in (404, 405)


def test_metrics_are_read_while_a_worker_creates_its_file(
    port: Port, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "counter_7.db"
    made.touch()
    # Prometheus' library creates an empty file, and sets its size a moment later.
    monkeypatch.setattr(
        "seldon_kafka.supervisor.http.time.sleep", lambda _: os.truncate(made, 2**20)
    )
    assert port.ask("GET", "/metrics")[0] == 200
    os.truncate(made, 0)
    monkeypatch.setattr("seldon_kafka.supervisor.http.time.sleep", lambda _: None)
    assert port.ask("GET", "/metrics")[0] == 500


@pytest.mark.parametrize(
    "method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "NONSENSE"]
)
def test_the_answer_to_another_method_lists_the_allowed_ones(port: Port, method: str) -> None:
    for path in ("/ready", INFER, "/"):
        status, headers, _ = port.ask(method, path)
        assert status == 405
        assert headers["Allow"] == "GET, HEAD, POST"


def test_each_path_says_which_method_it_takes(port: Port) -> None:
    status, headers, _ = port.ask("GET", INFER)
    assert (status, headers["Allow"]) == (405, "POST")
    status, headers, _ = port.ask("POST", "/metrics", b"x")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metrics/",
        "/metrics/../../../etc/passwd",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v2/models/../../etc/passwd",
        "/v2/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v2/models/model/infer/..",
        "/v2/models/<script>alert(1)</script>",
        "/README.md",
        "http://127.0.0.1/etc/passwd",
        "file:///etc/passwd",
        "/\\..\\..",
        "/" + "a" * 60_000,
    ],
)
def test_other_paths_do_not_exist(port: Port, path: str) -> None:
    for method in ("GET", "HEAD", "POST"):
        status, headers, body = port.ask(method, path, b"{}" if method == "POST" else b"")
        assert status == 404
        assert b"root:" not in body
        assert headers["Content-Type"] in ("text/plain; charset=utf-8", "application/json")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("", 411),
        ("Transfer-Encoding: chunked", 411),
        ("Transfer-Encoding: chunked\r\nContent-Length: 2", 411),
        ("Content-Length: -1", 400),
        ("Content-Length: +1", 400),
        ("Content-Length: 0x10", 400),
        ("Content-Length: ٣", 400),
        ("Content-Length: 99999999999999999999999999", 400),
        (f"Content-Length: {MOST_BYTES + 1}", 413),
        ("Content-Length: 1000000000000", 413),
    ],
)
def test_a_body_that_is_too_large_or_unmeasured_is_refused_before_it_is_read(
    port: Port, headers: str, status: int
) -> None:
    request = f"POST {INFER} HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n"
    assert port.send(request.encode())[0] == status


def test_a_body_of_the_largest_size_is_read(port: Port) -> None:
    assert port.ask("POST", INFER, b" " * MOST_BYTES)[0] == 503, "there is no server behind it"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /ready HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
        (b"GET /ready HTTP/1.1\r\na: " + b"b" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /ready HTTP/9.9\r\n\r\n", 505),
        (b"GET /ready secret-word HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_an_invalid_request_is_refused_in_a_line_without_details(
    port: Port, request_bytes: bytes, status: int
) -> None:
    found, headers, body = port.send(request_bytes)
    assert found == status
    assert b"secret-word" not in body
    said = repr(headers) + body.decode()
    assert "Python" not in said
    assert "html" not in said.lower()


def test_an_internal_error_shows_no_stack_trace_to_the_client(
    port: Port, caplog: pytest.LogCaptureFixture
) -> None:
    port.report = Report(True, [], {"class": object()})
    status, _, body = port.ask("GET", "/status")
    assert (status, body) == (500, b"internal error\n")
    assert "not JSON serializable" in caplog.text
    port.report = Report(True, [], {})
    assert port.ask("GET", "/status")[0] == 200


def test_a_client_that_hangs_up_or_sends_slowly_is_disconnected(
    port: Port, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("seldon_kafka.supervisor.listener._ARRIVES_WITHIN_S", 0.5)
    begun = [b"", b"GET /rea", b"POST %s HTTP/1.1\r\nContent-Length: 9\r\n\r\nx" % INFER.encode()]
    for request in begun:
        with port.connect() as connection:
            connection.sendall(request)
    for request in begun:
        with port.connect() as connection:
            connection.sendall(request)
            assert answer_on(connection)[0] == 0
    # Later bytes do not extend the deadline.
    with port.connect() as connection, pytest.raises(OSError):
        for _ in range(200):
            connection.sendall(b"a: b\r\n" if _ else b"GET /ready HTTP/1.1\r\n")
            threading.Event().wait(0.05)
    assert port.ask("GET", "/ready")[0] == 200
    assert caplog.text == ""


def test_the_number_of_connections_is_limited_and_further_ones_are_told_to_retry(
    port: Port,
) -> None:
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(port.connect()) for _ in range(32)]
        wait_until(lambda: threading.active_count() == before + 32, 10, "all are being served")
        for _ in range(20):
            status, headers, _ = port.send(b"")
            assert (status, headers["Retry-After"]) == (503, "1")
        assert threading.active_count() <= before + 32
        for connection in held:
            connection.sendall(b"GET /ready HTTP/1.1\r\n\r\n")
            assert answer_on(connection)[0] == 200
    wait_until(lambda: port.ask("GET", "/ready")[0] == 200, 10, "there is room again")


def test_the_server_listens_only_on_the_configured_address(new_port: Callable[..., Port]) -> None:
    here = new_port("127.0.0.1")
    others = {"127.0.0.2"} | {
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and address.address != "127.0.0.1"
    }
    for other in others:
        with pytest.raises(OSError):
            socket.create_connection((other, here.server.port), timeout=2)
    there = new_port("127.0.0.2")
    assert there.ask("GET", "/live")[0] == 200
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", there.server.port), timeout=2)


def test_the_server_listens_on_an_ipv6_address(new_port: Callable[..., Port]) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert new_port("::1").ask("GET", "/live")[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[",
        b"[" * 9000,
        b'{"inputs":[{"name":"x","shape":[1000000000,784],"datatype":"FP32","data":[1]}]}',
        b'{"inputs":[{"name":"x","shape":[0,1000000000],"datatype":"FP32","data":[]}]}',
        b'{"inputs":{}}',
        b'{"instances":[1]}',
        b"\xff\xfe",
    ],
)
def test_a_bad_inference_is_a_client_error_that_says_why(tmp_path: Path, body: bytes) -> None:
    report = Report(True, [], {})
    served = Served("model", 1)  # it has no server: no bad request gets that far
    server = StatusServer("127.0.0.1", 0, lambda: report, str(tmp_path), served, MOST_BYTES)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            head = f"POST {INFER} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            status, _, answer = answer_on(connection)
    finally:
        server.stop()
    assert status == 400
    assert json.loads(answer)["error"]
