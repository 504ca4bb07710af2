"""Configurations of the Kafka clients, from the settings."""

from __future__ import annotations

import logging
from typing import Any, Dict

from kafka.librdkafka import merged
from kafka.settings import Settings, require_broker

log = logging.getLogger("kafka.client")

# Room for a message's key, headers and framing beyond the largest value.
_FRAMING_BYTES = 1024 * 1024


def most_bytes(settings: Settings) -> int:
    """The largest message that our clients send and fetch in one piece, framing included."""
    return settings.max_message_bytes + _FRAMING_BYTES


def _base(settings: Settings) -> Dict[str, Any]:
    require_broker(settings)
    config: Dict[str, Any] = {
        "bootstrap.servers": settings.broker,
        "security.protocol": settings.security_protocol,
        "logger": log,
        # Reconnect soon after a broker came back: the defaults wait up to 10 s.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "topic.metadata.refresh.interval.ms": 30_000,
    }
    if settings.security_protocol.startswith("sasl"):
        config["sasl.mechanism"] = settings.sasl_mechanism
        config["sasl.username"] = settings.sasl_username
        config["sasl.password"] = settings.sasl_password
    if settings.security_protocol.endswith("ssl"):
        config.update(_tls(settings))
    return config


def _tls(settings: Settings) -> Dict[str, Any]:
    wanted = {
        "ssl.ca.location": settings.ssl_ca_cert_file,
        "ssl.certificate.location": settings.ssl_client_cert_file,
        "ssl.key.location": settings.ssl_client_key_file,
        "ssl.ca.pem": settings.ssl_ca_cert,
        "ssl.certificate.pem": settings.ssl_client_cert,
        "ssl.key.pem": settings.ssl_client_key,
        "ssl.key.password": settings.ssl_client_key_pass,
    }
    return {name: value for name, value in wanted.items() if value}


def admin_config(settings: Settings) -> Dict[str, Any]:
    """Configuration for `confluent_kafka.admin.AdminClient`."""
    return merged(_base(settings), settings.librdkafka.get("client", {}))


def producer_config(settings: Settings, **properties: Any) -> Dict[str, Any]:
    """Configuration for a producer that loses and reorders nothing.

    Args:
        settings: whose broker to use.
        properties: librdkafka properties, with `_` for `.`, that this producer needs.
    """
    base = _base(settings)
    base.update(
        {
            "enable.idempotence": True,
            "acks": "all",
            # As Kafka's own tools do, so that one key meets in one partition whoever sends it.
            "partitioner": "murmur2_random",
            "linger.ms": 0,
            "message.max.bytes": most_bytes(settings),
            "compression.type": "none",
        }
    )
    base.update({name.replace("_", "."): value for name, value in properties.items()})
    return merged(
        base, settings.librdkafka.get("client", {}), settings.librdkafka.get("producer", {})
    )


def consumer_config(settings: Settings, group_id: str, **properties: Any) -> Dict[str, Any]:
    """Configuration for a consumer that sees committed messages only and commits by hand.

    Args:
        settings: whose broker to use.
        group_id: the consumer group.
        properties: librdkafka properties, with `_` for `.`, that this consumer needs.
    """
    base = _base(settings)
    base.update(
        {
            "group.id": group_id,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.message.max.bytes": most_bytes(settings),
        }
    )
    base.update({name.replace("_", "."): value for name, value in properties.items()})
    return merged(
        base, settings.librdkafka.get("client", {}), settings.librdkafka.get("consumer", {})
    )
