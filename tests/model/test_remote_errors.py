"""Stores that are unavailable, slow, or send more than the manifest declares."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from model import remote
from model.artefacts import StoreUnavailable, read_artefact
from model.remote import fetch_artefact
from tests.support.patience import promised
from tests.support.stores import (
    CONTENT,
    FAST,
    MANIFEST,
    answering,
    both_stores,
    refusal,
    reply,
    serve_files,
)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSES_S", (0.01, 0.02))


def test_a_temporary_error_is_retried() -> None:
    requests: dict[str, int] = {}

    def fail_twice(request: BaseHTTPRequestHandler) -> None:
        requests[request.path] = requests.get(request.path, 0) + 1
        if requests[request.path] == 1:
            reply(request, 503, b"")
        elif requests[request.path] == 2:
            reply(request, 200, CONTENT[:50_000], len(CONTENT))  # the reply is too short
        else:
            serve_files(request)

    with answering(fail_twice) as address:
        for uri, environ in both_stores(address):
            assert fetch_artefact(uri, environ) == read_artefact(FAST)
    assert set(requests.values()) == {3}


def test_a_store_with_lasting_errors_or_no_server_is_unavailable() -> None:
    with answering(lambda request: reply(request, 503, b"")) as address:
        for uri, environ in both_stores(address):
            message = refusal(uri, environ, StoreUnavailable)
            assert f"{uri}/manifest.json cannot be read" in message
    for uri, environ in both_stores(address):
        assert "reached from here?" in refusal(uri, environ, StoreUnavailable)


def test_a_fetch_from_a_server_that_sends_single_bytes_times_out() -> None:
    def send_slowly(request: BaseHTTPRequestHandler) -> None:
        reply(request, 200, b"", 100_000)
        while True:
            request.wfile.write(b" ")
            time.sleep(0.05)

    with answering(send_slowly) as address:
        for uri, environ in both_stores(address):
            started = time.monotonic()
            with pytest.raises(StoreUnavailable, match=r"not fetched within 0\.5 s.*too slow"):
                fetch_artefact(uri, environ, timeout_s=0.5)
            assert time.monotonic() - started < promised(2)


def test_an_endless_file_is_read_no_further_than_the_declared_size() -> None:
    sent: list[int] = []

    def send_without_end(request: BaseHTTPRequestHandler) -> None:
        if "manifest.json" in request.path:
            serve_files(request)
            return
        reply(request, 200, b"", 2**40)
        try:
            while True:
                request.wfile.write(bytes(2**20))
                sent.append(2**20)
        except OSError:
            return

    size = json.loads(MANIFEST)["size_bytes"]
    with answering(send_without_end) as address:
        for uri, environ in both_stores(address):
            assert f"model.tflite has more than the {size:,} bytes" in refusal(uri, environ)
    assert sum(sent) < 64 * 2**20


def test_a_model_file_over_the_limit_is_not_requested() -> None:
    manifest: dict[str, Any] = {**json.loads(MANIFEST), "size_bytes": 65 * 2**20}
    requested: list[str] = []

    def declare(request: BaseHTTPRequestHandler) -> None:
        requested.append(request.path)
        reply(request, 200, json.dumps(manifest).encode())

    with answering(declare) as address:
        for uri, environ in both_stores(address):
            assert "'size_bytes' must be a whole number" in refusal(uri, environ)
    assert all("manifest.json" in path for path in requested)
