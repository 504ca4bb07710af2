"""Reads the settings of programs that use the local cluster if `KAFKA_BROKER` is not set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from kafka.cluster.address import recorded_security, running_bootstrap
from seldon_kafka.config.settings import Settings, SettingsError, load_settings


def local_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings, with the brokers of the local cluster if `KAFKA_BROKER` is not set.

    Args:
        environ: environment variables to read; those of this process by default.

    Raises:
        SettingsError: a variable is invalid; no broker is set and no local cluster runs; or the
            local cluster has another security protocol than the settings.
    """
    settings = load_settings(environ)
    bootstrap = running_bootstrap()
    if settings.broker and settings.broker != bootstrap:
        return settings
    if bootstrap is None:
        raise SettingsError(
            "no Kafka broker: set KAFKA_BROKER=host:port, "
            "or start a local one with `python -m kafka.cluster up`"
        )
    security = recorded_security()
    if security not in (None, settings.security_protocol):
        raise SettingsError(
            f"the local cluster uses {security}, and KAFKA_SECURITY_PROTOCOL is "
            f"{settings.security_protocol}: "
            'run eval "$(python -m kafka.cluster environment)" first'
        )
    return dataclasses.replace(settings, broker=bootstrap)
