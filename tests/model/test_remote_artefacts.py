"""Artefacts in S3 and Google Cloud Storage, from compatible servers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from model import remote
from model.artefacts import StoreUnavailable, read_artefact
from model.chosen import chosen_artefact
from model.remote import fetch_artefact
from tests.support.environments import PYTHON38, ROOT, needs_python38
from tests.support.ports import free_port
from tests.support.stores import (
    ANYONE,
    BUCKET,
    CONTENT,
    FAST,
    PRIVATE,
    S3,
    answering,
    fill_gcs,
    fill_s3,
    refusal,
    reply,
    running,
    serve_files,
)

RCLONE = {
    "RCLONE_CONFIG_S3_TYPE": "s3",
    "RCLONE_CONFIG_S3_PROVIDER": "Minio",
    "RCLONE_CONFIG_S3_ENV_AUTH": "false",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By prefix: the shipped artefact, a copy with a wrong byte, and one without manifest."""
    made = tmp_path_factory.mktemp("folders")
    for name in ("wrong", "bare"):
        shutil.copytree(FAST, made / name)
    (made / "wrong" / "model.tflite").write_bytes(CONTENT[:-1] + b"?")
    (made / "bare" / "manifest.json").unlink()
    return {"kmnist/fast": FAST, "wrong": made / "wrong", "bare": made / "bare"}


@pytest.fixture(scope="module")
def s3(folders: dict[str, Path]) -> Iterator[S3]:
    port = free_port()
    with running("moto.server", "-H", "127.0.0.1", "-p", str(port), port=port) as endpoint:
        yield fill_s3(endpoint, folders)


@pytest.fixture(scope="module")
def gcs(folders: dict[str, Path]) -> Iterator[dict[str, str]]:
    """Variables with the address of an emulator that needs no credentials."""
    port = free_port()
    options = ("--in-memory", "--default-bucket", BUCKET, "--host", "127.0.0.1")
    emulator = ("gcp_storage_emulator", "start", *options, "--port", str(port))
    with running(*emulator, port=port) as endpoint:
        fill_gcs(endpoint, folders)
        yield {"RCLONE_CONFIG_GS_ENDPOINT": endpoint}


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """The scheme of a store, and variables for its address."""
    if request.param == "s3":
        found: S3 = request.getfixturevalue("s3")
        return "s3", found.environ()
    return "gs", request.getfixturevalue("gcs")


def test_a_model_is_served_from_a_bucket(store: tuple[str, dict[str, str]]) -> None:
    scheme, environ = store
    for end in ("", "/"):
        uri = f"{scheme}://{BUCKET}/kmnist/fast{end}"
        assert chosen_artefact({**environ, "MODEL_URI": uri}) == read_artefact(FAST)


@needs_python38
def test_a_fetch_prints_nothing_on_the_python_of_the_image(
    store: tuple[str, dict[str, str]],
) -> None:
    scheme, environ = store
    ran = subprocess.run(
        [PYTHON38, "-c", "from model.chosen import *; print(chosen_artefact().name)"],
        cwd=ROOT,
        env={**os.environ, **environ, "MODEL_URI": f"{scheme}://{BUCKET}/kmnist/fast"},
        capture_output=True,
        text=True,
    )
    assert (ran.stdout.strip(), ran.stderr) == (read_artefact(FAST).name, "")


def test_the_error_for_a_damaged_file_shows_both_checksums(
    store: tuple[str, dict[str, str]],
) -> None:
    scheme, environ = store
    message = refusal(f"{scheme}://{BUCKET}/wrong", environ)
    assert message.startswith(f"{scheme}://{BUCKET}/wrong/model.tflite has the SHA-256 ")
    assert read_artefact(FAST).sha256 in message


def test_a_missing_manifest_is_named(store: tuple[str, dict[str, str]]) -> None:
    scheme, environ = store
    message = refusal(f"{scheme}://{BUCKET}/bare", environ)
    assert f"{scheme}://{BUCKET}/bare/manifest.json does not exist: check" in message


def test_a_missing_bucket_is_named(s3: S3, gcs: dict[str, str]) -> None:
    assert "there is no bucket 'absent'" in refusal("s3://absent/fast", s3.environ())
    assert "gs://absent/fast/manifest.json does not exist: check bucket" in refusal(
        "gs://absent/fast", gcs
    )


def test_the_error_for_an_unknown_or_denied_key_says_what_to_check(s3: S3) -> None:
    uri = f"s3://{BUCKET}/kmnist/fast"
    for name, value in (("AWS_ACCESS_KEY_ID", "nobody"), ("AWS_SECRET_ACCESS_KEY", "a-secret")):
        message = refusal(uri, {**s3.environ(), name: value})
        assert "check AWS_ACCESS_KEY_ID, its secret, and that it may read the bucket" in message
        assert "a-secret" not in message
        assert s3.secret not in message
    assert "(AccessDenied): check AWS_ACCESS_KEY_ID" in refusal(f"s3://{PRIVATE}/x", s3.environ())


def test_the_role_of_a_container_may_read(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    role = {
        "AccessKeyId": s3.key,
        "SecretAccessKey": s3.secret,
        "Token": "",
        "Expiration": "2999-01-01T00:00:00Z",
    }
    uri = f"s3://{BUCKET}/kmnist/fast"
    with answering(lambda request: reply(request, 200, json.dumps(role).encode())) as address:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{address}/role")
        environ = {**os.environ, "AWS_ENDPOINT_URL": s3.endpoint}
        assert fetch_artefact(uri, environ).variant == "fast"
    monkeypatch.setattr(remote, "PAUSES_S", ())
    assert "cannot be read" in refusal(uri, environ, StoreUnavailable)


def test_an_rclone_secret_works_as_variables_and_as_a_mounted_folder(
    s3: S3, tmp_path: Path
) -> None:
    secret = {
        **RCLONE,
        "RCLONE_CONFIG_S3_ENDPOINT": s3.endpoint,
        "RCLONE_CONFIG_S3_ACCESS_KEY_ID": s3.key,
        "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY": s3.secret,
    }
    uri = f"s3://{BUCKET}/kmnist/fast"
    assert fetch_artefact(uri, secret).variant == "fast"
    # Kubernetes mounts files as links into a hidden folder.
    (tmp_path / "..data").mkdir()
    for name, value in secret.items():
        (tmp_path / "..data" / name).write_text(value + "\n")
        (tmp_path / name).symlink_to(tmp_path / "..data" / name)
    mounted = {**ANYONE, "MODEL_CREDENTIALS_DIR": str(tmp_path)}
    assert fetch_artefact(uri, mounted).variant == "fast"
    (tmp_path / "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY").unlink()
    (tmp_path / "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY").write_text("a-secret")
    message = refusal(uri, mounted)
    assert "check RCLONE_CONFIG_S3_ACCESS_KEY_ID" in message
    assert "a-secret" not in message


@pytest.mark.parametrize(
    ("uri", "environ", "message"),
    [
        ("s3://b/p", {"AWS_ACCESS_KEY_ID": "k"}, "go together"),
        ("s3://b/p", {"AWS_ENDPOINT_URL": "http://k:a-secret@h"}, "like https://host:port"),
        ("s3://b/p", {"RCLONE_CONFIG_S3_TYPE": "azureblob"}, "TYPE must be 's3'"),
        ("gs://b/p", {"RCLONE_CONFIG_GS_TYPE": "s3"}, "TYPE must be 'google cloud storage'"),
        ("s3://k:a-secret@b/p", {}, "must not contain credentials"),
        ("s3://b/p?versionId=1", {}, "s3://bucket/prefix"),
        ("s3://b/p", {"MODEL_CREDENTIALS_DIR": "/no/such"}, "'/no/such', which is not a readable"),
        ("s3://b/p", {"MODEL_CREDENTIALS_DIR": "/" + "x" * 5000}, "which is not a readable"),
        (
            "gs://b/p",
            {"RCLONE_CONFIG_GS_SERVICE_ACCOUNT_CREDENTIALS": '{"private_key": "a-secret"}'},
            "must be the JSON of a service account's key",
        ),
        ("gs://b/p", {"GOOGLE_APPLICATION_CREDENTIALS": "/no/such"}, "must name the file"),
    ],
)
def test_the_error_for_an_invalid_variable_names_it_without_its_value(
    uri: str, environ: dict[str, str], message: str
) -> None:
    found = refusal(uri, environ)
    assert message in found
    assert "a-secret" not in found


@pytest.fixture(scope="module")
def key() -> str:
    """A private key like that of a service account."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return made.private_bytes(serialization.Encoding.PEM, *form).decode()


def token_server(request: BaseHTTPRequestHandler) -> None:
    """Gives a token to one account, and files to requests with the token."""
    if request.path == "/token":
        length = int(request.headers["Content-Length"])
        asked = parse_qs(request.rfile.read(length).decode())
        assert asked["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        reply(request, 200, json.dumps({"access_token": "t", "expires_in": 3600}).encode())
    elif request.path == "/revoked":
        reply(request, 400, json.dumps({"error": "invalid_grant"}).encode())
    elif request.headers.get("Authorization") != "Bearer t":
        reply(request, 401, b"{}")
    else:
        path, query = urlsplit(request.path)[2:4]
        assert path.startswith("/storage/v1/b/models/o/kmnist%2Ffast%2Fm")
        assert query == "alt=media"
        serve_files(request)


def account(address: str, key: str, token_path: str = "/token") -> str:
    return json.dumps(
        {
            "type": "service_account",
            "client_email": "reader@project.iam.gserviceaccount.com",
            "token_uri": address + token_path,
            "private_key": key,
        }
    )


def test_a_service_account_reads_a_private_bucket(key: str, tmp_path: Path) -> None:
    uri = "gs://models/kmnist/fast"
    variable = "RCLONE_CONFIG_GS_SERVICE_ACCOUNT_CREDENTIALS"
    with answering(token_server) as address:
        environ = {
            "RCLONE_CONFIG_GS_TYPE": "google cloud storage",
            "RCLONE_CONFIG_GS_ENDPOINT": address,
        }
        (tmp_path / "key.json").write_text(account(address, key))
        by_file = {**environ, "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json")}
        by_text = {**environ, variable: account(address, key)}
        assert fetch_artefact(uri, by_text) == fetch_artefact(uri, by_file) == read_artefact(FAST)
        assert "no credentials are set" in refusal(uri, environ)
        assert "(status 401)" in refusal(uri, {**by_text, "RCLONE_CONFIG_GS_ANONYMOUS": "true"})
        message = refusal(uri, {**environ, variable: account(address, key, "/revoked")})
        assert "Google gives no access token" in message
        assert "the key may be revoked" in message


def test_the_error_without_credentials_names_the_variables() -> None:
    def deny(request: BaseHTTPRequestHandler) -> None:
        request.send_response(403)
        body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        request.send_header("Content-Type", "application/xml")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    with answering(deny) as address:
        message = refusal("s3://models/fast", {"S3_ENDPOINT": address})
    assert "no credentials are set: set AWS_ACCESS_KEY_ID" in message
