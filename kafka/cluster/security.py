"""Creates the credentials of a secured cluster, and composes the security properties.

Clients and brokers use the same listener, because each broker is a client of the other brokers. The
SASL mechanism is SCRAM-SHA-512, which production clusters use. The operator and the brokers share
one user. The first controllers are formatted with this user, so that it exists before any broker
logs in.

Controllers require no password, because brokers learn the passwords of users from the controllers.
With TLS, controllers require the certificate of the brokers instead.

All other users have only the rights that `kafka.cluster.users` grants.
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

# Folder and files of the credentials.
_FOLDER = "security"
_AUTHORITY = "ca.pem"
_AUTHORITY_KEY = "ca-key.pem"
_BROKER_STORE = "broker.pem"
_CLIENT_STORE = "client.pem"
_CLIENT_CERTIFICATE = "client-certificate.pem"
_CLIENT_KEY = "client-key.pem"
_PASSWORD = "password"  # noqa: S105 - a file name
_TOOLS = "client.properties"


def make_credentials(folder: Path, security: str, host: str = HOST) -> None:
    """Creates the password and the certificates of a new cluster, and deletes old credentials.

    Args:
        folder: folder of the cluster. The credentials are in a folder below it with mode 0700.
        security: security protocol of the cluster; nothing is created for `plaintext`.
        host: address that the brokers listen on, which is named in their certificate.

    Raises:
        ClusterError: the package `cryptography` is missing.
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
    if _requires_certificate(security):
        client = issue(authority, _CLIENT_NAME)
        write_private(home / _CLIENT_STORE, client.key + client.certificate)
        write_private(home / _CLIENT_CERTIFICATE, client.certificate)
        write_private(home / _CLIENT_KEY, client.key)
    settings = _java_client(folder, security)
    write_private(home / _TOOLS, "".join(f"{key}={value}\n" for key, value in settings.items()))


def write_private(path: Path, text: str) -> None:
    """Writes a file; a new file has mode 0600 from its creation on."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 - pathlib cannot set a mode
        file.write(text)


def authority_of(folder: Path) -> Identity:
    """Returns the certificate authority that the cluster trusts.

    Raises:
        ClusterError: the files of the authority cannot be read.
    """
    home = folder / _FOLDER
    return Identity(_secret(home / _AUTHORITY), _secret(home / _AUTHORITY_KEY))


def users_folder(folder: Path) -> Path:
    """Returns the folder for the credentials of users other than the operator."""
    return folder / _FOLDER / "users"


def client_environment(folder: Path, state: ClusterState) -> dict[str, str]:
    """Returns the `KAFKA_…` variables with which programs of the operator connect.

    Raises:
        ClusterError: the credentials of the cluster cannot be read.
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
    if _requires_certificate(state.security):
        environment["KAFKA_SSL_CLIENT_CERT_FILE"] = str(home / _CLIENT_CERTIFICATE)
        environment["KAFKA_SSL_CLIENT_KEY_FILE"] = str(home / _CLIENT_KEY)
    return environment


def client_config(folder: Path, state: ClusterState) -> dict[str, Any]:
    """Returns the librdkafka properties with which clients of the operator connect.

    Raises:
        ClusterError: the credentials of the cluster cannot be read.
    """
    config = admin_config(load_settings(client_environment(folder, state)))
    del config["logger"]  # each caller sets another logger
    return config


def tool_arguments(folder: Path, state: ClusterState) -> list[str]:
    """Returns the arguments with which Kafka's own tools connect; empty for a plaintext cluster.

    The arguments name a file with the password, so that the process table does not show it.
    """
    if state.security == PLAINTEXT:
        return []
    return ["--command-config", str(folder / _FOLDER / _TOOLS)]


def broker_properties(folder: Path, state: ClusterState) -> dict[str, str]:
    """Returns the security properties for `server.properties`.

    Raises:
        ClusterError: the credentials of the cluster cannot be read.
    """
    settings = _authorization(state.security)
    if uses_sasl(state.security):
        listener = f"listener.name.{state.security}"
        settings["sasl.enabled.mechanisms"] = MECHANISM
        settings["sasl.mechanism.inter.broker.protocol"] = MECHANISM
        settings[f"{listener}.{MECHANISM.lower()}.sasl.jaas.config"] = _login(folder)
    if _uses_tls(state.security):
        settings.update(_trust_store(folder))
        settings.update(_key_store(folder, _BROKER_STORE))
        settings["listener.name.controller.ssl.client.auth"] = "required"
    if _requires_certificate(state.security):
        settings["ssl.client.auth"] = "required"
    return settings


def controller_protocol(security: str) -> str:
    """Returns Kafka's name of the security protocol of the controllers' listener."""
    return "SSL" if _uses_tls(security) else "PLAINTEXT"


def _authorization(security: str) -> dict[str, str]:
    """Returns the properties that turn on access control lists, and that name the super users."""
    if security == PLAINTEXT:
        return {}  # access control lists need users, and plaintext clients have none
    users = [f"User:{USER}"] if uses_sasl(security) else [f"User:CN={_CLIENT_NAME}"]
    if _uses_tls(security):
        users.append(f"User:CN={_BROKER_NAME}")
    else:
        # Without TLS, brokers connect to controllers without a user. So ANONYMOUS must be a super
        # user. This is safe: controllers listen only on this machine, and the listener for clients
        # accepts no client without a user.
        users.append("User:ANONYMOUS")
    return {"authorizer.class.name": _AUTHORIZER, "super.users": ";".join(users)}


def scram_user(folder: Path, state: ClusterState) -> str:
    """Returns the user of the operator in the form of Kafka's storage tool; empty without SASL.

    Raises:
        ClusterError: the credentials of the cluster cannot be read.
    """
    if not uses_sasl(state.security):
        return ""
    # The salt is not random: each first controller is formatted with the user, and all of them must
    # have the same salt.
    salt = base64.b64encode(hashlib.sha256(state.cluster_id.encode()).digest()[:16]).decode()
    return f'{MECHANISM}=[name={USER},salt="{salt}",password={_password(folder)}]'


def uses_sasl(security: str) -> bool:
    """Returns whether clients authenticate with a password."""
    return security.startswith("sasl")


def _uses_tls(security: str) -> bool:
    return security.endswith("ssl")


def _requires_certificate(security: str) -> bool:
    """Returns whether clients authenticate with a certificate."""
    return security == "ssl"


def _password(folder: Path) -> str:
    return _secret(folder / _FOLDER / _PASSWORD)


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ClusterError(
            f"the cluster's credentials cannot be read ({path}: {error.strerror}); "
            "`python -m kafka.cluster down --delete` deletes the cluster and its records"
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
        settings.update(_trust_store(folder))
    if _requires_certificate(security):
        settings.update(_key_store(folder, _CLIENT_STORE))
    return settings


def _trust_store(folder: Path) -> dict[str, str]:
    path = folder / _FOLDER / _AUTHORITY
    return {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(path)}


def _key_store(folder: Path, store: str) -> dict[str, str]:
    path = folder / _FOLDER / store
    return {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(path)}
