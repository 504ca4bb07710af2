"""The environment of a run's processes."""

from __future__ import annotations

import pytest

from tests.faults.environment import connection, with_settings

CALLERS = {
    "KAFKA_BROKER": "staging:9092",
    "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
    "KAFKA_SSL_CA_CERT": "PEM",
    "KAFKA_SASL_PASSWORD": "word",
    "KAFKA_CLIENT_SOCKET_KEEPALIVE_ENABLE": "true",
    "KAFKA_INPUT_TOPIC": "orders",
    "KAFKA_GROUP_ID": "production",
    "KAFKA_PROCESSING": "at_least_once",
    "KAFKA_PRODUCER_LINGER_MS": "5000",
    "KAFKA_CONSUMER_FETCH_MIN_BYTES": "1000000",
    "KAFKA_SERVICE_HOST": "10.0.0.1",
    "PATH": "/bin",
}


def test_only_the_connection_comes_from_the_caller() -> None:
    assert sorted(connection(CALLERS)) == [
        "KAFKA_BROKER",
        "KAFKA_CLIENT_SOCKET_KEEPALIVE_ENABLE",
        "KAFKA_SASL_PASSWORD",
        "KAFKA_SECURITY_PROTOCOL",
        "KAFKA_SSL_CA_CERT",
    ]


def test_no_setting_of_the_caller_reaches_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CALLERS.items():
        monkeypatch.setenv(name, value)
    found = with_settings({"KAFKA_BROKER": "here:1", "FAULTS_REPLICA": "a"})
    assert {name: value for name, value in found.items() if name.startswith("KAFKA_")} == {
        "KAFKA_BROKER": "here:1"
    }
    assert found["FAULTS_REPLICA"] == "a"
    assert found["PATH"] == "/bin"
