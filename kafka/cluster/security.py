"""A cluster that asks who its clients are: credentials, and the settings of both ends.

Clients and brokers use one listener: brokers are each other's clients. The
mechanism is SCRAM-SHA-512, which real clusters use; the operator's user, which
is the brokers' too, is part of the cluster's metadata from its first record on,
so that no broker ever waits for it. Controllers ask for no password: a broker
learns the users from them, and so cannot need one to ask. Where there is TLS
they ask for the brokers' certificate instead.

Whoever is not the operator may do only what an access control list says
(``kafka.cluster.users`` makes such users).
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from kafka.cluster.address import HOST, PLAINTEXT
from kafka.cluster.certificates import Identity, issue, make_authority
from kafka.cluster.state import ClusterError, ClusterState
from seldon_kafka.config.clients import admin_config
from seldon_kafka.config.settings import load_settings

USER = "kafka"
MECHANISM = "SCRAM-SHA-512"

_AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
_BROKER_NAME = "broker"
_CLIENT_NAME = "client"

_FOLDER = "security"
_AUTHORITY = "ca.pem"
_AUTHORITY_KEY = "ca-key.pem"
_BROKER_STORE = "broker.pem"
_CLIENT_STORE = "client.pem"
_CLIENT_CERTIFICATE = "client-certificate.pem"
_CLIENT_KEY = "client-key.pem"
_PASSWORD = "password"  # noqa: S105 - the name of its file
_TOOLS = "client.properties"


def make_credentials(folder: Path, security: str, host: str = HOST) -> None:
    """Make a new cluster's password and certificates, in place of any that are there.

    Args:
        folder: The cluster's folder; they get a folder below it that nobody else may open.
        security: How the cluster is secured.
        host: Where its brokers listen, which is what their certificate names.

    Raises:
        ClusterError: Certificates cannot be made here.
    """
    home = folder / _FOLDER
    shutil.rmtree(home, ignore_errors=True)
    if security == PLAINTEXT:
        return
    home.mkdir(mode=0o700, parents=True)
    if uses_sasl(security):
        write_private(home / _PASSWORD, secrets.token_urlsafe(24))
    if _uses_tls(security):
        authority = make_authority()
        write_private(home / _AUTHORITY, authority.certificate)
        write_private(home / _AUTHORITY_KEY, authority.key)
        broker = issue(authority, _BROKER_NAME, server=True, host=host)
        write_private(home / _BROKER_STORE, broker.key + broker.certificate)
    if _asks_for_certificate(security):
        client = issue(authority, _CLIENT_NAME)
        write_private(home / _CLIENT_STORE, client.key + client.certificate)
        write_private(home / _CLIENT_CERTIFICATE, client.certificate)
        write_private(home / _CLIENT_KEY, client.key)
    settings = _java_client(folder, security)
    write_private(home / _TOOLS, "".join(f"{key}={value}\n" for key, value in settings.items()))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first moment on."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 - pathlib cannot say a mode
        file.write(text)


def authority_of(folder: Path) -> Identity:
    """The authority whose certificates the cluster believes.

    Raises:
        ClusterError: Its files are gone.
    """
    home = folder / _FOLDER
    return Identity(_secret(home / _AUTHORITY), _secret(home / _AUTHORITY_KEY))


def users_folder(folder: Path) -> Path:
    """Where the credentials of further users are kept."""
    return folder / _FOLDER / "users"


def client_environment(folder: Path, state: ClusterState) -> dict[str, str]:
    """The ``KAFKA_…`` variables with which the operator's programs reach a cluster.

    Raises:
        ClusterError: Its credentials are gone.
    """
    home = folder / _FOLDER
    environment = {
        "KAFKA_BROKER": state.bootstrap,
        "KAFKA_SECURITY_PROTOCOL": state.security,
    }
    if uses_sasl(state.security):
        environment["KAFKA_SASL_MECHANISM"] = MECHANISM
        environment["KAFKA_SASL_USERNAME"] = USER
        environment["KAFKA_SASL_PASSWORD"] = _password(folder)
    if _uses_tls(state.security):
        environment["KAFKA_SSL_CA_CERT_FILE"] = str(home / _AUTHORITY)
    if _asks_for_certificate(state.security):
        environment["KAFKA_SSL_CLIENT_CERT_FILE"] = str(home / _CLIENT_CERTIFICATE)
        environment["KAFKA_SSL_CLIENT_KEY_FILE"] = str(home / _CLIENT_KEY)
    return environment


def client_config(folder: Path, state: ClusterState) -> dict[str, Any]:
    """The librdkafka properties with which a client reaches a cluster.

    Raises:
        ClusterError: Its credentials are gone.
    """
    config = admin_config(load_settings(client_environment(folder, state)))
    del config["logger"]  # each caller has its own
    return config


def tool_arguments(folder: Path, state: ClusterState) -> list[str]:
    """What Kafka's own tools need on their command line beside the brokers' addresses.

    It names a file, so that the process table shows no password.
    """
    if state.security == PLAINTEXT:
        return []
    return ["--command-config", str(folder / _FOLDER / _TOOLS)]


def broker_properties(folder: Path, state: ClusterState) -> dict[str, str]:
    """What ``server.properties`` says of security.

    Raises:
        ClusterError: The cluster's credentials are gone.
    """
    settings = _access(state.security)
    if uses_sasl(state.security):
        listener = f"listener.name.{state.security}"
        settings["sasl.enabled.mechanisms"] = MECHANISM
        settings["sasl.mechanism.inter.broker.protocol"] = MECHANISM
        settings[f"{listener}.{MECHANISM.lower()}.sasl.jaas.config"] = _login(folder)
    if _uses_tls(state.security):
        settings.update(_trust(folder))
        settings.update(_own(folder, _BROKER_STORE))
        settings["listener.name.controller.ssl.client.auth"] = "required"
    if _asks_for_certificate(state.security):
        settings["ssl.client.auth"] = "required"
    return settings


def controller_protocol(security: str) -> str:
    """What controllers speak, as Kafka calls it."""
    return "SSL" if _uses_tls(security) else "PLAINTEXT"


def _access(security: str) -> dict[str, str]:
    """Who may do everything; all others may do what an access control list grants them."""
    if security == PLAINTEXT:
        return {}  # where nobody has a name, nobody can be told from another
    every = [f"User:{USER}"] if uses_sasl(security) else [f"User:CN={_CLIENT_NAME}"]
    if _uses_tls(security):
        every.append(f"User:CN={_BROKER_NAME}")
    else:
        # Without TLS, whoever reaches the controllers is one of the brokers to them. They
        # listen on this machine only, and to the other listener nobody comes without a name.
        every.append("User:ANONYMOUS")
    return {"authorizer.class.name": _AUTHORIZER, "super.users": ";".join(every)}


def scram_user(folder: Path, state: ClusterState) -> str:
    """The user, as Kafka's storage tool takes it; empty where none is needed.

    Raises:
        ClusterError: The cluster's credentials are gone.
    """
    if not uses_sasl(state.security):
        return ""
    # Each founder is given the user by itself, and all of them must agree on every bit.
    salt = base64.b64encode(hashlib.sha256(state.cluster_id.encode()).digest()[:16]).decode()
    return f'{MECHANISM}=[name={USER},salt="{salt}",password={_password(folder)}]'


def uses_sasl(security: str) -> bool:
    """Whether a password is what tells who a client is."""
    return security.startswith("sasl")


def _uses_tls(security: str) -> bool:
    return security.endswith("ssl")


def _asks_for_certificate(security: str) -> bool:
    """Whether the client's certificate is what tells who it is."""
    return security == "ssl"


def _password(folder: Path) -> str:
    return _secret(folder / _FOLDER / _PASSWORD)


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ClusterError(
            f"the cluster's credentials cannot be read ({path}: {error.strerror}); "
            "`python -m kafka.cluster down --delete` starts afresh"
        ) from error


def _login(folder: Path) -> str:
    return (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="{USER}" password="{_password(folder)}";'
    )


def _java_client(folder: Path, security: str) -> dict[str, str]:
    settings = {"security.protocol": security.upper()}
    if uses_sasl(security):
        settings["sasl.mechanism"] = MECHANISM
        settings["sasl.jaas.config"] = _login(folder)
    if _uses_tls(security):
        settings.update(_trust(folder))
    if _asks_for_certificate(security):
        settings.update(_own(folder, _CLIENT_STORE))
    return settings


def _trust(folder: Path) -> dict[str, str]:
    path = folder / _FOLDER / _AUTHORITY
    return {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(path)}


def _own(folder: Path, store: str) -> dict[str, str]:
    path = folder / _FOLDER / store
    return {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(path)}
