"""No secret is shown in a log, an error, a metric, a status or a process's arguments."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives import serialization

from kafka.cluster.address import running_nodes
from kafka.cluster.local import Cluster
from seldon_kafka.config.rights import ROLES
from seldon_kafka.config.settings import load_settings
from tests.broker.conftest import SASL_SSL, SSL
from tests.broker.test_supervisor import Replica, get
from tests.support.patience import patient
from tests.support.stream import Stream, assert_once_and_in_order, numbers, wait_until

NewStream = Callable[[Cluster], Stream]
LOCK = "a-pass-phrase-of-a-key"


class SecretSearch:
    """Searches all places where a secret might be shown."""

    def __init__(self, stream: Stream, cluster: Cluster, secrets: set[str]) -> None:
        assert secrets
        assert all(len(secret) >= 12 for secret in secrets), "too short to be looked for"
        self._stream = stream
        self._cluster = cluster
        self._secrets = secrets
        self.looked_at: set[str] = set()

    def search(self, where: str, text: str | bytes) -> None:
        shown = text if isinstance(text, str) else text.decode("utf-8", "replace")
        assert not [secret for secret in self._secrets if secret in shown], where
        if shown:
            self.looked_at.add(where)

    def processes(self) -> None:
        """Checks the arguments of all processes."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                self.search("arguments", (process / "cmdline").read_bytes())
                self.search("name", (process / "comm").read_bytes())
            except (FileNotFoundError, ProcessLookupError):
                continue

    def files(self) -> None:
        """Checks the logs of the programs and the brokers, and the files of a worker."""
        for path in self._stream.folder.glob("*.log"):
            self.search("log", path.read_bytes())
        for path in self._cluster.folder.glob("node-*/*.log*"):
            self.search("broker's log", path.read_bytes())
        for path in Path(self._stream.environ["KAFKA_STATE_DIR"]).rglob("*"):
            self.search("state", path.read_bytes() if path.is_file() else b"")

    def port(self, port: int) -> None:
        """Checks all paths of a replica's port."""
        for path in ("/live", "/ready", "/status", "/metrics", "/v2", "/nothing"):
            self.search(path, get(port, path)[1])


def keyed(cluster: Cluster, user: str) -> tuple[dict[str, str], set[str]]:
    """Returns a user with certificate and locked key in the environment, and their secrets."""
    environ = cluster.user(user)
    certificate = Path(environ.pop("KAFKA_SSL_CLIENT_CERT_FILE")).read_text()
    key_file = Path(environ.pop("KAFKA_SSL_CLIENT_KEY_FILE"))
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    lock = serialization.BestAvailableEncryption(LOCK.encode())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock
    ).decode()
    blank = {"KAFKA_SSL_CLIENT_CERT_FILE": "", "KAFKA_SSL_CLIENT_KEY_FILE": ""}
    own = {
        "KAFKA_SSL_CLIENT_CERT": certificate,
        "KAFKA_SSL_CLIENT_KEY": pem,
        "KAFKA_SSL_CLIENT_KEY_PASS": LOCK,
    }
    return {**environ, **blank, **own}, {LOCK, *body(pem), *body(key_file.read_text())}


def passworded(cluster: Cluster, user: str) -> tuple[dict[str, str], set[str]]:
    """Returns a user with a password, and the password."""
    environ = cluster.user(user)
    return environ, {environ["KAFKA_SASL_PASSWORD"]}


def body(pem: str) -> set[str]:
    """Returns the lines of a key without its header and footer."""
    return {line for line in pem.splitlines() if not line.startswith("-") and len(line) >= 12}


def written(path: Path) -> bytes:
    """Returns the content of a file without its holes, of which a broker's index has megabytes."""
    parts: list[bytes] = []
    end = 0
    with path.open("rb") as file:
        while True:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:  # there is no more data
                    raise
                return b"".join(parts)
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            parts.append(os.pread(file.fileno(), end - start, start))


def own_secrets(cluster: Cluster) -> set[str]:
    """Returns the secrets of the brokers and the operator."""
    found: set[str] = set()
    for path in (cluster.folder / "security").rglob("*"):
        if path.name == "password":
            found.add(path.read_text())
        elif "key" in path.name or path.name in ("broker.pem", "client.pem"):
            key = re.findall(r"-----BEGIN PRIVATE KEY-----.*?-----END", path.read_text(), re.S)
            found.update(*(body(each) for each in key))
    return found


@pytest.mark.parametrize(
    ("security", "user_with"),
    [
        pytest.param("sasl_ssl", passworded, marks=SASL_SSL),
        pytest.param("ssl", keyed, marks=[SSL, pytest.mark.full]),
    ],
)
def test_no_secret_is_shown_on_success_or_on_failure(
    security: str,
    user_with: Callable[[Cluster, str], tuple[dict[str, str], set[str]]],
    request: pytest.FixtureRequest,
    new_stream_on: NewStream,
    name: str,
) -> None:
    cluster = request.getfixturevalue(security)
    stream = new_stream_on(cluster)
    environ, secrets = user_with(cluster, name[-8:])
    rights = [right for role in ROLES for right in ROLES[role](stream.settings)]
    cluster.user(name[-8:], rights)
    secrets |= own_secrets(cluster)
    # A longer password, in case only its beginning is shown.
    wrong = {variable: f"wrong-{environ[variable]}-wrong" for variable in environ
             if "PASS" in variable}  # fmt: skip
    watch = SecretSearch(stream, cluster, secrets)
    with pytest.raises(AssertionError):
        watch.search("a log that shows one", f"password={next(iter(secrets))}")
    settings = load_settings({**stream.environ, **environ})
    watch.search("settings", f"{settings!r} {settings}")

    debug = {**environ, "KAFKA_LOG_LEVEL": "debug"}
    replica = Replica(stream, "Double", **debug)
    stranger = Replica(stream, "Double", **{**debug, **wrong, "KAFKA_WORKER_ID": "stranger"})
    programs = [
        stream.start(*command, **{**debug, **given})
        for given in ({}, wrong)
        for command in (
            ("producer", "--samples", "--count", "5"),
            ("producer", "--print-command"),
            ("consumer", "--from-beginning", "--json", "--count", "1", "--timeout", "20"),
            ("seldon_kafka", "topics", "show"),
            ("seldon_kafka", "dead-letters", "list"),
            ("seldon_kafka", "acls", "worker", "User:model"),
        )
    ]
    while any(program.poll() is None for program in programs):
        watch.processes()
        time.sleep(0.05)
    replica.ready()
    stream.send(numbers(30))
    wait_until(lambda: stream.lag() == 0, 40, "all is answered")
    assert_once_and_in_order(stream.replies(35), 35)
    if security == "sasl_ssl":
        wait_until(lambda: "stalled" in get(stranger.port, "/ready")[1], 30, "it is refused")
        watch.port(stranger.port)
    watch.port(replica.port)
    watch.processes()
    family = psutil.Process(replica.process.pid)
    listening = {
        (found.laddr.ip, found.laddr.port)
        for process in [family, *family.children(recursive=True)]
        for found in process.net_connections(kind="inet")
        if found.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", replica.port)}, "a replica listens where it should only"
    for each in (replica, stranger):
        each.process.terminate()
        each.process.wait(patient(15))
    watch.files()
    assert watch.looked_at >= {"settings", "arguments", "log", "broker's log", "/status"}


@SASL_SSL
def test_brokers_listen_on_this_machine_only_and_only_the_owner_can_read_their_files(
    sasl_ssl: Cluster,
) -> None:
    for pid in running_nodes(sasl_ssl.folder).values():
        listening = {
            found.laddr.ip.removeprefix("::ffff:")
            for found in psutil.Process(pid).net_connections(kind="inet")
            if found.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}
    secrets = own_secrets(sasl_ssl)
    for path in sasl_ssl.folder.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o077:
            content = written(path)
            assert not [secret for secret in secrets if secret.encode() in content], path
