"""Brokers that refuse a client: each program reports the reason in one line."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from consumer.__main__ import main as consumer
from kafka.cluster.certificates import issue, make_authority
from kafka.cluster.local import Cluster
from kafka.cluster.security import authority_of
from producer.__main__ import main as producer
from tests.broker.conftest import SASL_SSL, SSL
from tests.broker.test_supervisor import Replica, get
from tests.support.commands import dead_letters as dead_letter
from tests.support.commands import topics
from tests.support.patience import patient
from tests.support.stream import Stream, wait_until

NewStream = Callable[[Cluster], Stream]
Wrong = Callable[[Cluster, Path], dict[str, str]]


def wrong_password(cluster: Cluster, folder: Path) -> dict[str, str]:
    return {"KAFKA_SASL_PASSWORD": "not-this-one"}


def unknown_user(cluster: Cluster, folder: Path) -> dict[str, str]:
    return {"KAFKA_SASL_USERNAME": "nobody"}


def wrong_mechanism(cluster: Cluster, folder: Path) -> dict[str, str]:
    return {"KAFKA_SASL_MECHANISM": "PLAIN"}


def other_authority(cluster: Cluster, folder: Path) -> dict[str, str]:
    """Returns settings that trust another authority than that of the brokers' certificate."""
    (folder / "ca.pem").write_text(make_authority().certificate)
    return {"KAFKA_SSL_CA_CERT_FILE": str(folder / "ca.pem")}


def other_host(cluster: Cluster, folder: Path) -> dict[str, str]:
    """Returns the brokers' address under a name that their certificate does not have."""
    return {"KAFKA_BROKER": cluster.bootstrap.replace("127.0.0.1", "127.1")}


def expired(cluster: Cluster, folder: Path) -> dict[str, str]:
    identity = issue(authority_of(cluster.folder), "client", valid_for=-timedelta(hours=1))
    return {"KAFKA_SSL_CLIENT_CERT": identity.certificate, "KAFKA_SSL_CLIENT_KEY": identity.key,
            "KAFKA_SSL_CLIENT_CERT_FILE": "", "KAFKA_SSL_CLIENT_KEY_FILE": ""}  # fmt: skip


def self_signed(cluster: Cluster, folder: Path) -> dict[str, str]:
    """Returns a certificate of an authority that the brokers do not know."""
    identity = issue(make_authority(), "client")
    return {"KAFKA_SSL_CLIENT_CERT": identity.certificate, "KAFKA_SSL_CLIENT_KEY": identity.key,
            "KAFKA_SSL_CLIENT_CERT_FILE": "", "KAFKA_SSL_CLIENT_KEY_FILE": ""}  # fmt: skip


def no_certificate(cluster: Cluster, folder: Path) -> dict[str, str]:
    return {"KAFKA_SSL_CLIENT_CERT_FILE": "", "KAFKA_SSL_CLIENT_KEY_FILE": ""}


FULL = pytest.mark.full
REFUSED = [
    pytest.param("sasl_ssl", wrong_password, "invalid credentials", marks=SASL_SSL),
    pytest.param("sasl_ssl", unknown_user, "invalid credentials", marks=[SASL_SSL, FULL]),
    pytest.param("sasl_ssl", wrong_mechanism, "Unsupported SASL mech", marks=[SASL_SSL, FULL]),
    pytest.param("sasl_ssl", other_authority, "certificate verify failed", marks=SASL_SSL),
    pytest.param("sasl_ssl", other_host, "certificate verify failed", marks=[SASL_SSL, FULL]),
    pytest.param("ssl", expired, "certificate", marks=SSL),
    pytest.param("ssl", self_signed, "certificate", marks=[SSL, FULL]),
    pytest.param("ssl", no_certificate, "certificate", marks=[SSL, FULL]),
]


@pytest.mark.parametrize(("security", "wrong", "words"), REFUSED)
def test_every_command_reports_a_refusal_in_one_line(
    security: str,
    wrong: Wrong,
    words: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    cluster = request.getfixturevalue(security)
    for variable, value in {**cluster.client_environment(), **wrong(cluster, tmp_path)}.items():
        monkeypatch.setenv(variable, value)
    commands: list[tuple[Callable[[list[str]], int], str]] = [
        (producer, "--samples"),
        (consumer, "--json"),
        (topics, "create"),
        (topics, "show"),
        (dead_letter, "list"),
    ]
    for main, arguments in commands:
        assert main(arguments.split()) == 1
        out, err = capfd.readouterr()
        (line,) = err.splitlines()
        assert line.startswith("error: ")
        assert words in line
        assert "KAFKA_S" in line
        assert "not-this-one" not in out + err


@pytest.mark.parametrize(("security", "wrong", "words"), REFUSED)
def test_a_replica_is_not_ready_and_reports_a_refusal_in_one_line(
    security: str,
    wrong: Wrong,
    words: str,
    request: pytest.FixtureRequest,
    new_stream_on: NewStream,
    tmp_path: Path,
) -> None:
    cluster = request.getfixturevalue(security)
    stream = new_stream_on(cluster)
    replica = Replica(stream, "Double", **wrong(cluster, tmp_path))

    def says_why() -> bool:
        status, text = get(replica.port, "/ready")
        return status == 503 and "worker 0: stalled: no broker answers" in text and words in text

    wait_until(says_why, 40, "the replica says why")
    assert get(replica.port, "/live")[0] == 200
    assert words in replica.status()["workers"][0]["detail"]
    replica.process.terminate()
    assert replica.process.wait(patient(15)) == 0
    assert stream.log().count(" waits: ") == 1
    assert "Traceback" not in stream.log()


def unreadable_key(cluster: Cluster, folder: Path) -> dict[str, str]:
    """Returns a key with another password than the given one."""
    text = Path(cluster.client_environment()["KAFKA_SSL_CLIENT_KEY_FILE"]).read_bytes()
    key = serialization.load_pem_private_key(text, None)
    locked = serialization.BestAvailableEncryption(b"the right one")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    (folder / "locked.pem").write_bytes(pem)
    return {
        "KAFKA_SSL_CLIENT_KEY_FILE": str(folder / "locked.pem"),
        "KAFKA_SSL_CLIENT_KEY_PASS": "not-this-one",
    }


def no_authority(cluster: Cluster, folder: Path) -> dict[str, str]:
    return {"KAFKA_SSL_CA_CERT_FILE": "/no/such/file"}


def no_pem(cluster: Cluster, folder: Path) -> dict[str, str]:
    return {"KAFKA_SSL_CLIENT_KEY": "not-this-one"}


@SSL
@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (unreadable_key, "KAFKA_SSL_CLIENT_KEY_FILE"),
        pytest.param(no_authority, "KAFKA_SSL_CA_CERT_FILE", marks=FULL),
        pytest.param(no_pem, "KAFKA_SSL_CLIENT_KEY", marks=FULL),
    ],
)
def test_every_program_ends_on_unusable_settings_and_names_the_variable(
    ssl: Cluster, new_stream_on: NewStream, tmp_path: Path, wrong: Wrong, named: str
) -> None:
    stream = new_stream_on(ssl)
    environ = wrong(ssl, tmp_path)
    programs: list[subprocess.Popen[bytes]] = [
        stream.worker("Double", **environ),
        Replica(stream, "Double", **environ).process,
        stream.start("producer", "--samples", **environ),
        stream.start("consumer", **environ),
        stream.start("seldon_kafka", "topics", "show", **environ),
        stream.start("seldon_kafka", "dead-letters", "list", **environ),
    ]
    for number, program in enumerate(programs):
        assert program.wait(patient(60)) == 2
        (line,) = (stream.folder / f"{number}.log").read_text().splitlines()
        assert line.startswith("error: ")
        assert named in line
        assert "not-this-one" not in line
