"""Stores that are away, slow, or send more than they should."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from model import remote
from model.artefacts import StoreAway, read_artefact
from model.remote import fetch_artefact
from tests.support.patience import promised
from tests.support.stores import (
    CONTENT,
    FAST,
    MANIFEST,
    answering,
    both_at,
    refusal,
    reply,
    serve_files,
)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSES_S", (0.01, 0.02))


def test_trouble_that_passes_is_waited_out() -> None:
    asked: dict[str, int] = {}

    def come_round(request: BaseHTTPRequestHandler) -> None:
        asked[request.path] = asked.get(request.path, 0) + 1
        if asked[request.path] == 1:
            reply(request, 503, b"")
        elif asked[request.path] == 2:
            reply(request, 200, CONTENT[:50_000], len(CONTENT))  # breaks off
        else:
            serve_files(request)

    with answering(come_round) as address:
        for uri, environ in both_at(address):
            assert fetch_artefact(uri, environ) == read_artefact(FAST)
    assert set(asked.values()) == {3}


def test_a_store_that_stays_in_trouble_or_is_not_there_is_said_to_be_away() -> None:
    with answering(lambda request: reply(request, 503, b"")) as address:
        for uri, environ in both_at(address):
            assert f"{uri}/manifest.json can't be read" in refusal(uri, environ, StoreAway)
    for uri, environ in both_at(address):
        assert "reached from here?" in refusal(uri, environ, StoreAway)


def test_a_server_that_sends_a_byte_now_and_then_is_given_up() -> None:
    def trickle(request: BaseHTTPRequestHandler) -> None:
        reply(request, 200, b"", 100_000)
        while True:
            request.wfile.write(b" ")
            time.sleep(0.05)

    with answering(trickle) as address:
        for uri, environ in both_at(address):
            started = time.monotonic()
            with pytest.raises(StoreAway, match=r"not fetched within 0\.5 s.*too slow"):
                fetch_artefact(uri, environ, patience_s=0.5)
            assert time.monotonic() - started < promised(2)


def test_a_file_without_end_is_read_no_further_than_its_manifest_says() -> None:
    sent: list[int] = []

    def pour(request: BaseHTTPRequestHandler) -> None:
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
    with answering(pour) as address:
        for uri, environ in both_at(address):
            assert f"model.tflite has more than the {size:,} bytes" in refusal(uri, environ)
    assert sum(sent) < 64 * 2**20


def test_what_is_too_large_for_an_artefact_is_not_even_asked_for() -> None:
    manifest: dict[str, Any] = {**json.loads(MANIFEST), "size_bytes": 65 * 2**20}
    asked: list[str] = []

    def claim(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        reply(request, 200, json.dumps(manifest).encode())

    with answering(claim) as address:
        for uri, environ in both_at(address):
            assert "'size_bytes' must be a whole number" in refusal(uri, environ)
    assert all("manifest.json" in path for path in asked)
