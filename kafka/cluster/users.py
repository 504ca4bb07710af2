"""Further users of a secured cluster, who may do only what they are granted."""

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
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def make_user(folder: Path, state: ClusterState, name: str) -> dict[str, str]:
    """Make a user, or find the one that there is.

    Args:
        folder: The cluster's folder.
        state: The cluster.
        name: SCRAM user, or common name of the certificate.

    Returns:
        The ``KAFKA_…`` variables with which the user's programs reach the cluster.

    Raises:
        ClusterError: The name is none, or the cluster does not run or asks nobody's name.
    """
    if state.security == PLAINTEXT:
        raise ClusterError(
            "a plaintext cluster asks nobody's name; "
            "`python -m kafka.cluster up --security sasl_ssl` starts one that does"
        )
    if not _NAME.match(name):
        raise ClusterError(f"{name!r} is no name for a user: letters, digits, '.', '_' and '-'")
    environment = client_environment(folder, state)
    home = users_folder(folder) / name
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = _scram_user(folder, state, home) if uses_sasl(state.security) else _identity(folder, home)
    return {**environment, **own}


def principal_of(state: ClusterState, name: str) -> str:
    """What brokers call a user."""
    return f"User:{name}" if uses_sasl(state.security) else f"User:CN={name}"


def grant(folder: Path, state: ClusterState, name: str, rights: Iterable[Right]) -> None:
    """Let a user do something; what it may do already stays.

    Raises:
        ClusterError: The brokers do not answer.
    """
    admin = admin_client(client_config(folder, state))
    principal = principal_of(state, name)
    # Roles share rights, and the client library takes none twice.
    bindings = dict.fromkeys(_binding(AclBinding, principal, right) for right in rights)
    _done(admin.create_acls(list(bindings), request_timeout=_REQUEST_S))


def revoke(folder: Path, state: ClusterState, name: str, rights: Iterable[Right]) -> None:
    """Take rights back that were granted.

    Raises:
        ClusterError: The brokers do not answer.
    """
    admin = admin_client(client_config(folder, state))
    filters = [_binding(AclBindingFilter, principal_of(state, name), right) for right in rights]
    _done(admin.delete_acls(filters, request_timeout=_REQUEST_S))


def _scram_user(folder: Path, state: ClusterState, home: Path) -> dict[str, str]:
    file = home / "password"
    if not file.exists():
        password = secrets.token_urlsafe(24)
        admin = admin_client(client_config(folder, state))
        how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        made = UserScramCredentialUpsertion(home.name, how, password.encode("ascii"))
        _done(admin.alter_user_scram_credentials([made], request_timeout=_REQUEST_S))
        write_private(file, password)
    return {"KAFKA_SASL_USERNAME": home.name, "KAFKA_SASL_PASSWORD": file.read_text("utf-8")}


def _identity(folder: Path, home: Path) -> dict[str, str]:
    certificate, key = home / "certificate.pem", home / "key.pem"
    if not key.exists():
        made = issue(authority_of(folder), home.name)
        write_private(certificate, made.certificate)
        write_private(key, made.key)
    return {
        "KAFKA_SSL_CLIENT_CERT_FILE": str(certificate),
        "KAFKA_SSL_CLIENT_KEY_FILE": str(key),
    }


def _binding(kind: Any, principal: str, right: Right) -> Any:
    pattern = ResourcePatternType.PREFIXED if right.prefixed else ResourcePatternType.LITERAL
    # DescribeConfigs -> DESCRIBE_CONFIGS
    operation = AclOperation[_CAMEL.sub("_", right.operation).upper()]
    resource = _RESOURCES[right.resource]
    allow = AclPermissionType.ALLOW
    return kind(resource, right.name, pattern, principal, "*", operation, allow)


def _done(futures: dict[Any, Any]) -> list[Any]:
    try:
        return [future.result() for future in futures.values()]
    except KafkaException as error:
        raise ClusterError(f"the brokers refuse: {error.args[0].str()}") from error
