"""A cluster that asks who its clients are: credentials, and the settings of both ends.

Clients and brokers use one listener and one user: brokers are each other's
clients. Only controllers talk in plain text, on 127.0.0.1: a broker learns the
users from them, and so cannot need a user to ask. The mechanism is
SCRAM-SHA-512, which real clusters use; the user is part of the cluster's
metadata from its first record on, so that no broker ever waits for it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import shutil
from pathlib import Path
from typing import Any, Dict, List

from kafka.clients import admin_config
from kafka.cluster.address import PLAINTEXT
from kafka.cluster.certificates import make_certificates
from kafka.cluster.state import ClusterError, ClusterState
from kafka.settings import load_settings

USER = "kafka"
MECHANISM = "SCRAM-SHA-512"

_FOLDER = "security"
_AUTHORITY = "ca.pem"
_BROKER_STORE = "broker.pem"
_CLIENT_STORE = "client.pem"
_CLIENT_CERTIFICATE = "client-certificate.pem"
_CLIENT_KEY = "client-key.pem"
_PASSWORD = "password"  # noqa: S105 - the name of its file
_TOOLS = "client.properties"


def make_credentials(folder: Path, security: str) -> None:
    """Make a new cluster's password and certificates, in place of any that are there.

    Args:
        folder: The cluster's folder; they get a folder below it that nobody else may open.
        security: How the cluster is secured.

    Raises:
        ClusterError: Certificates cannot be made here.
    """
    home = folder / _FOLDER
    shutil.rmtree(home, ignore_errors=True)
    if security == PLAINTEXT:
        return
    home.mkdir(mode=0o700, parents=True)
    if _uses_sasl(security):
        write_private(home / _PASSWORD, secrets.token_urlsafe(24))
    if _uses_tls(security):
        authority, broker, client = make_certificates()
        write_private(home / _AUTHORITY, authority)
        write_private(home / _BROKER_STORE, broker.key + broker.certificate)
    if _asks_for_certificate(security):
        write_private(home / _CLIENT_STORE, client.key + client.certificate)
        write_private(home / _CLIENT_CERTIFICATE, client.certificate)
        write_private(home / _CLIENT_KEY, client.key)
    settings = _java_client(folder, security)
    write_private(home / _TOOLS, "".join(f"{key}={value}\n" for key, value in settings.items()))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first moment on."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 - pathlib cannot say a mode
        file.write(text)


def client_environment(folder: Path, state: ClusterState) -> Dict[str, str]:
    """The ``KAFKA_…`` variables with which our own programs reach a cluster.

    Raises:
        ClusterError: Its credentials are gone.
    """
    home = folder / _FOLDER
    environment = {
        "KAFKA_BROKER": state.bootstrap,
        "KAFKA_SECURITY_PROTOCOL": state.security,
    }
    if _uses_sasl(state.security):
        environment["KAFKA_SASL_MECHANISM"] = MECHANISM
        environment["KAFKA_SASL_USERNAME"] = USER
        environment["KAFKA_SASL_PASSWORD"] = _password(folder)
    if _uses_tls(state.security):
        environment["KAFKA_SSL_CA_CERT_FILE"] = str(home / _AUTHORITY)
    if _asks_for_certificate(state.security):
        environment["KAFKA_SSL_CLIENT_CERT_FILE"] = str(home / _CLIENT_CERTIFICATE)
        environment["KAFKA_SSL_CLIENT_KEY_FILE"] = str(home / _CLIENT_KEY)
    return environment


def client_config(folder: Path, state: ClusterState) -> Dict[str, Any]:
    """The librdkafka properties with which a client reaches a cluster.

    Raises:
        ClusterError: Its credentials are gone.
    """
    config = admin_config(load_settings(client_environment(folder, state)))
    del config["logger"]  # each caller has its own
    return config


def tool_arguments(folder: Path, state: ClusterState) -> List[str]:
    """What Kafka's own tools need on their command line beside the brokers' addresses.

    It names a file, so that the process table shows no password.
    """
    if state.security == PLAINTEXT:
        return []
    return ["--command-config", str(folder / _FOLDER / _TOOLS)]


def broker_properties(folder: Path, state: ClusterState) -> Dict[str, str]:
    """What ``server.properties`` says of security.

    Raises:
        ClusterError: The cluster's credentials are gone.
    """
    settings: Dict[str, str] = {}
    if _uses_sasl(state.security):
        listener = f"listener.name.{state.security}"
        settings["sasl.enabled.mechanisms"] = MECHANISM
        settings["sasl.mechanism.inter.broker.protocol"] = MECHANISM
        settings[f"{listener}.{MECHANISM.lower()}.sasl.jaas.config"] = _login(folder)
    if _uses_tls(state.security):
        settings.update(_trust(folder))
        settings.update(_own(folder, _BROKER_STORE))
    if _asks_for_certificate(state.security):
        settings["ssl.client.auth"] = "required"
    return settings


def scram_user(folder: Path, state: ClusterState) -> str:
    """The user, as Kafka's storage tool takes it; empty where none is needed.

    Raises:
        ClusterError: The cluster's credentials are gone.
    """
    if not _uses_sasl(state.security):
        return ""
    # Each founder is given the user by itself, and all of them must agree on every bit.
    salt = base64.b64encode(hashlib.sha256(state.cluster_id.encode()).digest()[:16]).decode()
    return f'{MECHANISM}=[name={USER},salt="{salt}",password={_password(folder)}]'


def _uses_sasl(security: str) -> bool:
    return security.startswith("sasl")


def _uses_tls(security: str) -> bool:
    return security.endswith("ssl")


def _asks_for_certificate(security: str) -> bool:
    """Whether the client's certificate is what tells who it is."""
    return security == "ssl"


def _password(folder: Path) -> str:
    path = folder / _FOLDER / _PASSWORD
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ClusterError(
            f"the cluster's password cannot be read ({path}: {error.strerror}); "
            "`python -m kafka.cluster down --delete` starts afresh"
        ) from error


def _login(folder: Path) -> str:
    return (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="{USER}" password="{_password(folder)}";'
    )


def _java_client(folder: Path, security: str) -> Dict[str, str]:
    settings = {"security.protocol": security.upper()}
    if _uses_sasl(security):
        settings["sasl.mechanism"] = MECHANISM
        settings["sasl.jaas.config"] = _login(folder)
    if _uses_tls(security):
        settings.update(_trust(folder))
    if _asks_for_certificate(security):
        settings.update(_own(folder, _CLIENT_STORE))
    return settings


def _trust(folder: Path) -> Dict[str, str]:
    path = folder / _FOLDER / _AUTHORITY
    return {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(path)}


def _own(folder: Path, store: str) -> Dict[str, str]:
    path = folder / _FOLDER / store
    return {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(path)}
