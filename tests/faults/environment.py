"""Environment variables of a run's processes: the connection to the brokers, and nothing else.

The replicas under test must not get settings of a deployment, such as its topics and group.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

_PREFIX = "KAFKA_"
_CONNECTION = ("KAFKA_BROKER", "KAFKA_SECURITY_PROTOCOL")
_CONNECTION_PREFIXES = ("KAFKA_SSL_", "KAFKA_SASL_", "KAFKA_CLIENT_")


def connection(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables with the addresses of the brokers and the connection to them."""
    return {
        name: value
        for name, value in environ.items()
        if name in _CONNECTION or name.startswith(_CONNECTION_PREFIXES)
    }


def with_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of a process with these settings, without the caller's settings."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    return {**others, **settings}
