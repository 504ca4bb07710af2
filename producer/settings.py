"""Reads the settings of the producer and the consumer."""

from __future__ import annotations

from seldon_kafka.config.settings import Settings, load_settings, require_broker


def client_settings() -> Settings:
    """Reads the settings, with the local cluster's brokers if `KAFKA_BROKER` is not set.

    In the batch image, which has no local cluster, `KAFKA_BROKER` must be set.

    Raises:
        SettingsError: a variable is wrong, or there is no broker.
    """
    try:
        from kafka.cluster.settings import local_settings
    except ModuleNotFoundError:
        return require_broker(load_settings())
    return local_settings()
