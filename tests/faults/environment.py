"""What the processes of a run get of the caller's environment: how to reach brokers, no more.

Settings of a deployment, its topics and group above all, are not for the replicas under test.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

_PREFIX = "KAFKA_"
_CONNECTION = ("KAFKA_BROKER", "KAFKA_SECURITY_PROTOCOL")
_CONNECTION_PREFIXES = ("KAFKA_SSL_", "KAFKA_SASL_", "KAFKA_CLIENT_")


def connection(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that say where the caller's brokers are, and how to reach them."""
    return {
        name: value
        for name, value in environ.items()
        if name in _CONNECTION or name.startswith(_CONNECTION_PREFIXES)
    }


def with_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process with these settings, and with none of the caller's own."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    return {**others, **settings}
