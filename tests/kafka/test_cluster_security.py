"""The security of the local cluster without a broker: files, settings, certificates."""

from __future__ import annotations

import stat
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from kafka.cluster.__main__ import main
from kafka.cluster.certificates import issue, make_authority
from kafka.cluster.local import Cluster
from kafka.cluster.node import java_argument_file
from kafka.cluster.process import end, spawn
from kafka.cluster.properties import server_properties
from kafka.cluster.security import (
    broker_properties,
    client_config,
    client_environment,
    make_credentials,
    scram_user,
    tool_arguments,
)
from kafka.cluster.settings import local_settings
from kafka.cluster.state import SECURITY, ClusterError, ClusterState, Node, load_state, save_state
from seldon_kafka.config.refusal import refusal_of
from seldon_kafka.config.settings import SettingsError, load_settings

NODE = Node(id=1, broker_port=20000, controller_port=20001, directory_id="d")


def secured(folder: Path, security: str) -> ClusterState:
    make_credentials(folder, security)
    return ClusterState("id", (NODE,), security)


@pytest.mark.parametrize("security", SECURITY)
def test_the_security_protocol_of_a_cluster_is_read_back(security: str, tmp_path: Path) -> None:
    state = ClusterState("id", (NODE,), security)
    save_state(tmp_path, state)
    assert load_state(tmp_path) == state


def test_a_state_file_without_a_security_protocol_means_plaintext(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text('{"cluster_id": "id", "nodes": []}')
    state = load_state(tmp_path)
    assert state is not None
    assert state.security == "plaintext"


@pytest.mark.parametrize("security", SECURITY)
def test_clients_and_brokers_use_one_secured_listener(security: str, tmp_path: Path) -> None:
    state = secured(tmp_path, security)
    text = server_properties(state, NODE, tmp_path, broker_properties(tmp_path, state))
    lines = text.splitlines()
    name = security.upper()
    assert f"advertised.listeners={name}://127.0.0.1:20000" in lines
    assert f"inter.broker.listener.name={name}" in lines
    assert ("ssl.client.auth=required" in lines) == (security == "ssl")
    assert ("PLAINTEXT://" in text.replace("SASL_PLAINTEXT", "")) == (security == "plaintext")


@pytest.mark.parametrize(
    ("security", "super_users", "controllers"),
    [
        ("plaintext", None, "PLAINTEXT"),
        ("sasl_plaintext", "User:kafka;User:ANONYMOUS", "PLAINTEXT"),
        ("sasl_ssl", "User:kafka;User:CN=broker", "SSL"),
        ("ssl", "User:CN=client;User:CN=broker", "SSL"),
    ],
)
def test_only_the_operator_and_the_brokers_are_super_users(
    security: str, super_users: str | None, controllers: str, tmp_path: Path
) -> None:
    state = secured(tmp_path, security)
    text = server_properties(state, NODE, tmp_path, broker_properties(tmp_path, state))
    settings = dict(line.split("=", 1) for line in text.splitlines())
    assert settings.get("super.users") == super_users
    assert ("authorizer.class.name" in settings) == (security != "plaintext")
    assert "allow.everyone.if.no.acl.found" not in settings, "Kafka's own default is no"
    listeners = settings["listener.security.protocol.map"]
    assert listeners == f"{security.upper()}:{security.upper()},CONTROLLER:{controllers}"
    if controllers == "SSL":
        assert settings["listener.name.controller.ssl.client.auth"] == "required"


def test_the_error_of_a_plaintext_cluster_says_how_to_start_one_with_users(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_state(tmp_path, ClusterState("id", (NODE,)))
    assert main(["--folder", str(tmp_path), "user", "camera", "--role", "producer"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "up --security sasl_ssl" in line


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "a=b"])
def test_a_user_name_cannot_be_a_path_or_a_list(name: str, tmp_path: Path) -> None:
    save_state(tmp_path, secured(tmp_path, "ssl"))
    with pytest.raises(ClusterError, match="is no valid user name"):
        Cluster(tmp_path).user(name)


@pytest.mark.parametrize("security", SECURITY)
def test_only_the_owner_may_read_credentials(security: str, tmp_path: Path) -> None:
    secured(tmp_path, security)
    created = list(tmp_path.rglob("*"))
    assert bool(created) == (security != "plaintext")
    for path in created:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


@pytest.mark.parametrize("security", SECURITY)
def test_the_client_environment_is_complete_and_valid(security: str, tmp_path: Path) -> None:
    state = secured(tmp_path, security)
    environment = client_environment(tmp_path, state)
    assert load_settings(environment).security_protocol == security
    assert ("KAFKA_SASL_PASSWORD" in environment) == security.startswith("sasl")
    assert ("KAFKA_SSL_CA_CERT_FILE" in environment) == security.endswith("ssl")
    assert ("KAFKA_SSL_CLIENT_KEY_FILE" in environment) == (security == "ssl")
    assert all(Path(v).is_file() for k, v in environment.items() if k.endswith("_FILE"))
    assert client_config(tmp_path, state)["security.protocol"] == security


def test_the_command_line_of_a_tool_has_no_password(tmp_path: Path) -> None:
    state = secured(tmp_path, "sasl_ssl")
    password = client_environment(tmp_path, state)["KAFKA_SASL_PASSWORD"]
    option, file = tool_arguments(tmp_path, state)
    assert option == "--command-config"
    assert password not in file
    assert password in Path(file).read_text()
    assert tool_arguments(tmp_path, ClusterState("id", (NODE,))) == []


def test_all_initial_controllers_get_the_same_user_and_each_cluster_another(tmp_path: Path) -> None:
    state = secured(tmp_path / "a", "sasl_ssl")
    other = secured(tmp_path / "b", "sasl_ssl")
    user = scram_user(tmp_path / "a", state)
    assert user.startswith("SCRAM-SHA-512=[name=kafka,salt=")
    assert scram_user(tmp_path / "a", state) == user
    assert scram_user(tmp_path / "b", other) != user
    assert scram_user(tmp_path, secured(tmp_path, "ssl")) == ""


def test_arguments_are_quoted_for_java() -> None:
    assert java_argument_file(['a b="c"', "d\\e"]) == '"a b=\\"c\\""\n"d\\\\e"\n'


def test_certificates_are_limited_to_this_machine_and_to_their_use() -> None:
    authority = make_authority()
    broker, client = issue(authority, "broker", server=True), issue(authority, "client")
    root = x509.load_pem_x509_certificate(authority.certificate.encode())
    for identity, uses in (
        (broker, {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}),
        (client, {ExtendedKeyUsageOID.CLIENT_AUTH}),
    ):
        certificate = x509.load_pem_x509_certificate(identity.certificate.encode())
        certificate.verify_directly_issued_by(root)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["localhost"]
        assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
        extension = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        assert set(extension.value) == uses
        assert identity.key not in repr(identity)


@pytest.mark.parametrize("host", ["10.1.2.3", "kafka.example.com"])
def test_the_certificate_of_brokers_names_their_host_too(host: str, tmp_path: Path) -> None:
    make_credentials(tmp_path, "sasl_ssl", host)
    store = (tmp_path / "security" / "broker.pem").read_bytes()
    certificate = x509.load_pem_x509_certificate(store[store.index(b"-----BEGIN CERTIFICATE") :])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"127.0.0.1", host} <= {str(name.value) for name in names}


def test_a_certificate_with_a_negative_validity_has_expired() -> None:
    expired = issue(make_authority(), "expired", valid_for=timedelta(hours=-1))
    certificate = x509.load_pem_x509_certificate(expired.certificate.encode())
    assert certificate.not_valid_after < datetime.utcnow()


def test_another_security_protocol_for_an_existing_cluster_is_refused_with_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_state(tmp_path, ClusterState("id", (NODE,)))
    with pytest.raises(
        ClusterError, match=r"keeps its security protocol, plaintext.*down --delete"
    ):
        Cluster.start(tmp_path, security="sasl_ssl")
    assert main(["--folder", str(tmp_path), "up", "--security", "ssl"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "up --security ssl" in line


def test_missing_credentials_are_an_error_with_advice(tmp_path: Path) -> None:
    save_state(tmp_path, ClusterState("id", (NODE,), "sasl_ssl"))
    with pytest.raises(ClusterError, match="down --delete"):
        Cluster(tmp_path).client_environment()


def test_the_environment_command_prints_lines_for_eval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    save_state(folder, secured(folder, "ssl"))
    assert main(["--folder", str(folder), "environment"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "export KAFKA_BROKER=127.0.0.1:20000" in lines
    assert f"export KAFKA_SSL_CA_CERT_FILE='{folder}/security/ca.pem'" in lines


def test_the_error_for_missing_credentials_names_the_command_that_prints_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = secured(tmp_path, "sasl_ssl")
    save_state(tmp_path, state)
    monkeypatch.setenv("KAFKA_CLUSTER_DIR", str(tmp_path))
    properties = tmp_path / "node-1" / "server.properties"
    properties.parent.mkdir()
    wait = "import time; time.sleep(60)"
    pid = spawn([sys.executable, "-c", wait, "kafka.Kafka", str(properties)], tmp_path / "log")
    try:
        with pytest.raises(SettingsError, match=r"sasl_ssl.*python -m kafka.cluster environment"):
            local_settings({})
        assert local_settings(client_environment(tmp_path, state)).broker == state.bootstrap
    finally:
        end([pid], timeout_s=0)


@pytest.mark.parametrize(
    ("code", "text", "advice"),
    [
        (KafkaError._AUTHENTICATION, "invalid credentials (after 3ms in state X)", "PASSWORD"),
        (KafkaError._SSL, "certificate verify failed (after 3ms in state X)", "KAFKA_SSL_"),
        (KafkaError._TRANSPORT, "SSL routines::certificate required (after 3ms)", "KAFKA_SSL_"),
    ],
)
def test_a_refusal_is_the_same_line_each_time_and_names_the_settings(
    code: int, text: str, advice: str
) -> None:
    refusal = refusal_of(KafkaError(code, text))
    assert refusal is not None
    assert advice in refusal.str()
    assert "3ms" not in refusal.str()


@pytest.mark.parametrize(
    "text",
    [
        "ssl://a:1/bootstrap: error:0A000086:SSL routines::certificate verify failed",
        "ssl://b:2/1: SSL handshake failed: error:0A000086:SSL routines::certificate verify "
        "failed: broker certificate could not be verified (after 3ms in state X)",
    ],
)
def test_a_refusal_is_the_same_line_from_every_broker(text: str) -> None:
    refusal = refusal_of(KafkaError(KafkaError._SSL, text))
    assert refusal is not None
    assert refusal.str() == (
        "certificate verify failed: the broker's certificate is of another authority, "
        "for another host, or expired; see KAFKA_SECURITY_PROTOCOL, KAFKA_SSL_…, KAFKA_BROKER"
    )


def test_a_broker_that_does_not_answer_is_no_refusal() -> None:
    assert refusal_of(KafkaError(KafkaError._TRANSPORT, "Connection refused")) is None
