"""Stores with models: S3 (moto), Google Cloud Storage (an emulator), and faulty servers."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import boto3
import pytest

from model.artefacts import SHIPPED, ArtefactError
from model.remote import fetch_artefact
from tests.support.patience import patient

FAST = SHIPPED / "fast"
MANIFEST = (FAST / "manifest.json").read_bytes()
CONTENT = (FAST / "model.tflite").read_bytes()
ANYONE = {"AWS_ACCESS_KEY_ID": "anyone", "AWS_SECRET_ACCESS_KEY": "a-secret"}
BUCKET = "models"
START_S = 30
PRIVATE = "private"
_MAY_READ = [f"arn:aws:s3:::{bucket}/*" for bucket in (BUCKET, "absent")]
_READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": _MAY_READ}
_POLICY = json.dumps({"Version": "2012-10-17", "Statement": [_READ]})


@dataclass(frozen=True)
class S3:
    """An S3 server that checks signatures and rights, and keys that may read one bucket."""

    endpoint: str
    key: str
    secret: str

    def environ(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }


@contextlib.contextmanager
def running(module: str, *arguments: str, port: int) -> Iterator[str]:
    """Runs a server's module for the length of a block, and yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + patient(START_S)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def fill_s3(endpoint: str, folders: dict[str, Path]) -> S3:
    """Uploads folders into the bucket, each below its prefix, and turns on access checks."""
    options = {"aws_access_key_id": "root", "aws_secret_access_key": "root"}
    options |= {"endpoint_url": endpoint, "region_name": "us-east-1"}
    store = boto3.client("s3", **options)
    for bucket in (BUCKET, PRIVATE):
        store.create_bucket(Bucket=bucket)
    for prefix, folder in folders.items():
        for file in filter(Path.is_file, folder.iterdir()):
            store.put_object(Bucket=BUCKET, Key=f"{prefix}/{file.name}", Body=file.read_bytes())
    iam = boto3.client("iam", **options)
    iam.create_user(UserName="reader")
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=_POLICY)
    made = iam.create_access_key(UserName="reader")["AccessKey"]
    send(f"{endpoint}/moto-api/reset-auth", b"0")
    return S3(endpoint, made["AccessKeyId"], made["SecretAccessKey"])


def fill_gcs(endpoint: str, folders: dict[str, Path]) -> None:
    for prefix, folder in folders.items():
        for file in filter(Path.is_file, folder.iterdir()):
            name = quote(f"{prefix}/{file.name}", safe="")
            url = f"{endpoint}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={name}"
            send(url, file.read_bytes())


def send(url: str, content: bytes) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    with urllib.request.urlopen(urllib.request.Request(url, content, headers), timeout=10):
        pass


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextlib.contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """Runs a server that answers every request with this function, and yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                answer(self)

        # http.server defines these names.
        do_POST = do_GET  # noqa: N815
        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(request: BaseHTTPRequestHandler, status: int, body: bytes, length: int = -1) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(len(body) if length < 0 else length))
    request.end_headers()
    request.wfile.write(body)


def serve_files(request: BaseHTTPRequestHandler) -> None:
    """Answers any path with the shipped artefact's manifest or model file."""
    reply(request, 200, MANIFEST if "manifest.json" in request.path else CONTENT)


def both_stores(address: str) -> list[tuple[str, dict[str, str]]]:
    """Returns the URI of a folder in each kind of store, with variables for this address."""
    return [
        ("s3://models/fast", {**ANYONE, "AWS_ENDPOINT_URL": address}),
        ("gs://models/fast", {"RCLONE_CONFIG_GS_ENDPOINT": address}),
    ]


def refusal(uri: str, environ: dict[str, str], kind: type[ArtefactError] = ArtefactError) -> str:
    with pytest.raises(ArtefactError) as refused:
        fetch_artefact(uri, environ, timeout_s=20)
    assert refused.type is kind
    assert "\n" not in str(refused.value)
    return str(refused.value)
