"""Composes the properties of Kafka clients from the settings, and checks them."""

from __future__ import annotations

import logging
import re
from typing import Callable, Tuple

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from seldon_kafka.config.librdkafka import merged, variable_of
from seldon_kafka.config.settings import Settings, SettingsError, require_broker
from seldon_kafka.messages import JsonObject

log = logging.getLogger("seldon_kafka.client")
_QUIET = logging.getLogger("seldon_kafka.config.clients.check")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False

# Added to the limit of a value: room for the key, the headers and the framing of a message.
_FRAMING_BYTES = 1024 * 1024
# Limit of a request-log record. Brokers and clients refuse requests above 100 MB by default.
_LOG_RECORD_BYTES = 90 * 1024 * 1024

# Fields of `Settings` for TLS and SASL, by librdkafka property.
_TLS = {
    "ssl.ca.location": "ssl_ca_cert_file",
    "ssl.certificate.location": "ssl_client_cert_file",
    "ssl.key.location": "ssl_client_key_file",
    "ssl.ca.pem": "ssl_ca_cert",
    "ssl.certificate.pem": "ssl_client_cert",
    "ssl.key.pem": "ssl_client_key",
    "ssl.key.password": "ssl_client_key_pass",
}
_SASL = {
    "sasl.mechanism": "sasl_mechanism",
    "sasl.username": "sasl_username",
    "sasl.password": "sasl_password",
}


def checked(settings: Settings) -> Settings:
    """Checks that the client library accepts the properties of each kind of client.

    Returns:
        The same settings.

    Raises:
        SettingsError: the library refuses a property, key or certificate, or `KAFKA_BROKER` is not
            set. The text names the variable or the property.
    """
    made: Tuple[Tuple[Callable[..., object], JsonObject], ...] = (
        (AdminClient, admin_config(settings)),
        (Producer, producer_config(settings)),
        (Consumer, consumer_config(settings, settings.group_id)),
    )
    for client, config in made:
        try:
            client({**config, "logger": _QUIET})
        except KafkaException as error:
            text = error.args[0].str()
            variable = variable_of(settings.librdkafka, text)
            why = f"{variable}: {text.strip()}" if variable else _why_unusable(text)
            raise SettingsError(why) from error
    return settings


def _why_unusable(text: str) -> str:
    why = with_variables(re.sub(r"^Failed to create [a-z ]+: ", "", text))
    if "KAFKA_SSL_" in why:
        why += (
            "; check that it exists, that it is PEM, "
            "and that KAFKA_SSL_CLIENT_KEY_PASS is the password of the key"
        )
    return why


def with_variables(text: str) -> str:
    """Replaces librdkafka properties in a text by the environment variables that set them."""
    for name, field in {**_TLS, **_SASL}.items():
        text = text.replace(name, f"KAFKA_{field.upper()}")
    return text


def most_bytes(settings: Settings) -> int:
    """Returns the size limit of a message in the clients, in bytes, with key and headers."""
    return settings.max_message_bytes + _FRAMING_BYTES


def most_log_bytes(settings: Settings) -> int:
    """Returns the size limit of a request-log record, in bytes.

    It has room for a request and its reply in base64, up to 90 MiB. If one message may have more
    than that (`most_bytes`), this is the limit.
    """
    most = most_bytes(settings)
    return max(most, min(_LOG_RECORD_BYTES, 2 * (most // 3 * 4)))


def _base(settings: Settings) -> JsonObject:
    require_broker(settings)
    config: JsonObject = {
        "bootstrap.servers": settings.broker,
        "security.protocol": settings.security_protocol,
        "logger": log,
        # By default, librdkafka waits up to 10 s before it reconnects to a broker.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "topic.metadata.refresh.interval.ms": 30_000,
    }
    if settings.security_protocol.startswith("sasl"):
        config.update({name: getattr(settings, field) for name, field in _SASL.items()})
    if settings.security_protocol.endswith("ssl"):
        values = {name: getattr(settings, field) for name, field in _TLS.items()}
        config.update({name: value for name, value in values.items() if value})
    return config


def admin_config(settings: Settings) -> JsonObject:
    """Returns the properties of a `confluent_kafka.admin.AdminClient`.

    Raises:
        SettingsError: `KAFKA_BROKER` is not set.
    """
    return merged(_base(settings), settings.librdkafka.get("client", {}))


def producer_config(settings: Settings, **properties: object) -> JsonObject:
    """Returns the properties of a producer that neither loses nor reorders messages.

    Args:
        settings: the settings; their librdkafka properties override all others.
        properties: librdkafka properties, with `_` for `.`, that this producer needs.

    Raises:
        SettingsError: `KAFKA_BROKER` is not set.
    """
    base = _base(settings)
    base.update(
        {
            "enable.idempotence": True,
            "acks": "all",
            # Kafka's own tools choose partitions by the same hash, so all messages with equal keys
            # are in one partition.
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


def consumer_config(settings: Settings, group_id: str, **properties: object) -> JsonObject:
    """Returns the properties of a consumer that reads only committed messages.

    The consumer does not commit offsets automatically.

    Args:
        settings: the settings; their librdkafka properties override all others.
        group_id: id of the consumer group.
        properties: librdkafka properties, with `_` for `.`, that this consumer needs.

    Raises:
        SettingsError: `KAFKA_BROKER` is not set.
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
