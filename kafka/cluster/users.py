"""Creates users of a secured cluster, and grants and revokes their rights."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from kafka.cluster.address import PLAINTEXT
from kafka.cluster.certificates import issue
from kafka.cluster.metadata import admin_client
from kafka.cluster.security import (
    authority_of,
    client_config,
    client_environment,
    users_folder,
    uses_sasl,
    write_private,
)
from kafka.cluster.state import ClusterError, ClusterState
from seldon_kafka.config.rights import GROUP, TOPIC, TRANSACTIONAL_ID, Right

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
_REQUEST_S = 10.0
_RESOURCES = {
    TOPIC: ResourceType.TOPIC,
    GROUP: ResourceType.GROUP,
    TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID,
}
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")


def make_user(folder: Path, state: ClusterState, name: str) -> dict[str, str]:
    """Creates a user, or reads the credentials of an existing user.

    Args:
        folder: folder of the cluster.
        state: state of the cluster.
        name: name of the user: the SCRAM user, or the common name of the certificate.

    Returns:
        The `KAFKA_…` variables with which the user's programs connect, the password included.

    Raises:
        ClusterError: the name is not valid, the cluster is not secured, the credentials of the
            cluster cannot be read, or the brokers refuse the change or do not answer.
    """
    if state.security == PLAINTEXT:
        raise ClusterError(
            "a plaintext cluster has no users; "
            "`python -m kafka.cluster up --security sasl_ssl` starts a cluster with users"
        )
    if not _NAME.match(name):
        raise ClusterError(f"{name!r} is no valid user name: use letters, digits, '.', '_' and '-'")
    environment = client_environment(folder, state)
    home = users_folder(folder) / name
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    credentials = (
        _scram_user(folder, state, home) if uses_sasl(state.security) else _identity(folder, home)
    )
    return {**environment, **credentials}


def principal_of(state: ClusterState, name: str) -> str:
    """Returns the principal of a user in access control lists, such as `User:camera`."""
    return f"User:{name}" if uses_sasl(state.security) else f"User:CN={name}"


def grant(folder: Path, state: ClusterState, name: str, rights: Iterable[Right]) -> None:
    """Grants rights to a user, in addition to the rights that the user has.

    Raises:
        ClusterError: the brokers refuse the change or do not answer.
    """
    admin = admin_client(client_config(folder, state))
    principal = principal_of(state, name)
    # Roles share rights, and the client library refuses duplicates.
    bindings = dict.fromkeys(_binding(AclBinding, principal, right) for right in rights)
    _wait_for(admin.create_acls(list(bindings), request_timeout=_REQUEST_S))


def revoke(folder: Path, state: ClusterState, name: str, rights: Iterable[Right]) -> None:
    """Revokes rights of a user.

    Raises:
        ClusterError: the brokers refuse the change or do not answer.
    """
    admin = admin_client(client_config(folder, state))
    filters = [_binding(AclBindingFilter, principal_of(state, name), right) for right in rights]
    _wait_for(admin.delete_acls(filters, request_timeout=_REQUEST_S))


def _scram_user(folder: Path, state: ClusterState, home: Path) -> dict[str, str]:
    file = home / "password"
    if not file.exists():
        password = secrets.token_urlsafe(24)
        admin = admin_client(client_config(folder, state))
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(home.name, info, password.encode("ascii"))
        _wait_for(admin.alter_user_scram_credentials([change], request_timeout=_REQUEST_S))
        write_private(file, password)
    return {"KAFKA_SASL_USERNAME": home.name, "KAFKA_SASL_PASSWORD": file.read_text("utf-8")}


def _identity(folder: Path, home: Path) -> dict[str, str]:
    certificate, key = home / "certificate.pem", home / "key.pem"
    if not key.exists():
        identity = issue(authority_of(folder), home.name)
        write_private(certificate, identity.certificate)
        write_private(key, identity.key)
    return {
        "KAFKA_SSL_CLIENT_CERT_FILE": str(certificate),
        "KAFKA_SSL_CLIENT_KEY_FILE": str(key),
    }


def _binding(kind: Any, principal: str, right: Right) -> Any:
    pattern = ResourcePatternType.PREFIXED if right.prefixed else ResourcePatternType.LITERAL
    # DescribeConfigs -> DESCRIBE_CONFIGS
    operation = AclOperation[_CAMEL_CASE.sub("_", right.operation).upper()]
    resource = _RESOURCES[right.resource]
    allow = AclPermissionType.ALLOW
    return kind(resource, right.name, pattern, principal, "*", operation, allow)


def _wait_for(futures: dict[Any, Any]) -> None:
    try:
        for future in futures.values():
            future.result()
    except KafkaException as error:
        raise ClusterError(f"the brokers refuse or do not answer: {error.args[0].str()}") from error
