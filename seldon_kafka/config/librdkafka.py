"""Reads librdkafka properties from environment variables, and refuses some of them.

`KAFKA_CONSUMER_FETCH_MIN_BYTES=1` sets `fetch.min.bytes` of consumers. `KAFKA_PRODUCER_…` sets a
property of producers, and `KAFKA_CLIENT_…` sets a property of every client. All properties:
https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md
"""

from __future__ import annotations

import logging
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple

from seldon_kafka.config.environment import SettingsError, ignored_by, is_foreign
from seldon_kafka.messages import JsonObject

_QUIET = logging.getLogger("seldon_kafka.config.librdkafka.check")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False

_PREFIXES = {
    "client": "KAFKA_CLIENT_",
    "consumer": "KAFKA_CONSUMER_",
    "producer": "KAFKA_PRODUCER_",
}
CLIENT_PREFIXES = tuple(_PREFIXES.values())

_EXACTLY_ONCE = "exactly-once and order depend on it"
_OFFSETS = "the worker commits offsets itself, with the replies"
# Why each property is refused, and the setting to use instead if there is one.
_REFUSED = {
    "acks": _EXACTLY_ONCE,
    "allow.auto.create.topics": "workers must not create topics by accident",
    "auto.commit.enable": _OFFSETS,
    "auto.offset.reset": "use KAFKA_START",
    "bootstrap.servers": "use KAFKA_BROKER",
    "enable.auto.commit": _OFFSETS,
    "enable.auto.offset.store": _OFFSETS,
    "enable.gapless.guarantee": _EXACTLY_ONCE,
    "enable.idempotence": "use KAFKA_PROCESSING",
    "enable.partition.eof": "without it, lag does not reach zero",
    "default.topic.config": "it is a table, and a variable holds text",
    "group.id": "use KAFKA_GROUP_ID",
    "group.instance.id": "workers of one supervisor would fence each other",
    "group.protocol": "take-over within 10 s needs the classic protocol",
    "isolation.level": _EXACTLY_ONCE,
    "logger": "the worker has a log of its own",
    "max.in.flight": _EXACTLY_ONCE,
    "max.in.flight.requests.per.connection": _EXACTLY_ONCE,
    "message.send.max.retries": _EXACTLY_ONCE,
    "metadata.broker.list": "use KAFKA_BROKER",
    "partition.assignment.strategy": "revocations are handled for this strategy only",
    "request.required.acks": _EXACTLY_ONCE,
    "retries": _EXACTLY_ONCE,
    "sasl.mechanism": "use KAFKA_SASL_MECHANISM",
    "sasl.mechanisms": "use KAFKA_SASL_MECHANISM",
    "sasl.password": "use KAFKA_SASL_PASSWORD",
    "sasl.username": "use KAFKA_SASL_USERNAME",
    "security.protocol": "use KAFKA_SECURITY_PROTOCOL",
    "session.timeout.ms": "use KAFKA_SESSION_TIMEOUT_MS",
    "transaction.timeout.ms": "use KAFKA_TRANSACTION_TIMEOUT_MS",
    "transactional.id": "use KAFKA_WORKER_ID",
}


class Properties(NamedTuple):
    """Librdkafka properties from environment variables.

    Attributes:
        by_client: properties by name, by kind of client: `client` (all), `consumer`, `producer`.
        unknown: variables with one of the prefixes, but without the name of a property.
    """

    by_client: Dict[str, Dict[str, str]]
    unknown: List[str]


def properties_by_client(environ: Mapping[str, str], known: Iterable[str]) -> Properties:
    """Returns the properties that environment variables set.

    Args:
        environ: all environment variables.
        known: variables of settings; they are skipped.

    Raises:
        SettingsError: a variable names a refused property: a promise of the runtime depends on the
            property, or a setting replaces it.
    """
    own = frozenset(known) | ignored_by(environ)
    found: Dict[str, Dict[str, str]] = {client: {} for client in _PREFIXES}
    unknown = []
    for variable, value in environ.items():
        if variable in own or is_foreign(variable, value):
            continue
        for client, prefix in _PREFIXES.items():
            if variable.startswith(prefix):
                name = variable[len(prefix) :].lower().replace("_", ".")
                if name in _REFUSED:
                    raise SettingsError(f"{variable} can't be set: {_REFUSED[name]}")
                if _is_property(name, value):
                    found[client][name] = value
                else:
                    unknown.append(variable)
    return Properties(found, unknown)


def _is_property(name: str, value: str) -> bool:
    """Returns whether librdkafka knows the property; its value may be invalid."""
    return "No such configuration property" not in _error_of(name, value)


def _error_of(name: str, value: str) -> str:
    """Returns librdkafka's error for a property by itself; empty if it accepts the value."""
    # Imported late: processes without these variables do not need the client library.
    from confluent_kafka import KafkaException, Producer

    try:
        Producer({name: value, "logger": _QUIET, "log_level": 0})
    except KafkaException as error:
        return str(error.args[0].str())
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


def variable_of(by_client: Mapping[str, Mapping[str, str]], error: str) -> str:
    """Returns the environment variable whose value causes this error of librdkafka, or ""."""
    for client, properties in by_client.items():
        for name, value in properties.items():
            if _error_of(name, value) == error:
                return _PREFIXES[client] + name.upper().replace(".", "_")
    return ""


def merged(base: Mapping[str, Any], *overrides: Mapping[str, str]) -> JsonObject:
    """Returns a copy of `base` with the properties of `overrides`; the last value wins."""
    config = dict(base)
    for override in overrides:
        config.update(override)
    return config
