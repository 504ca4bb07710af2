"""The settings of the runtime, read once from environment variables at start.

The name of each variable begins with `KAFKA_`. If Seldon's Kafka executor has the same setting, the
variable has the same name there.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import socket
import tempfile
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from seldon_kafka.config.environment import (
    Parser,
    SettingsError,
    auto_on_off,
    choice,
    ignored_by,
    integer,
    is_foreign,
    number,
    on_off,
    text,
    unknown_variables,
)
from seldon_kafka.config.librdkafka import CLIENT_PREFIXES, properties_by_client
from seldon_kafka.config.share import Share, share
from seldon_kafka.messages import JsonObject

__all__ = ["Settings", "SettingsError", "load_settings", "require_broker", "variables"]

MIB = 1024 * 1024


def _setting(
    variable: str, parse: Parser, default: Any, help_text: str, *, secret: bool = False
) -> Any:
    metadata = {"variable": variable, "parse": parse, "help": help_text, "secret": secret}
    return dataclasses.field(default=default, metadata=metadata, repr=not secret)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The runtime's settings; `load_settings` fills them from the environment.

    The README's table shows the help text of each field.
    """

    broker: str = _setting("KAFKA_BROKER", text, "", "bootstrap servers, `host:port,…`")
    input_topic: str = _setting(
        "KAFKA_INPUT_TOPIC", text, "model_input", "topic that requests are read from"
    )
    output_topic: str = _setting(
        "KAFKA_OUTPUT_TOPIC", text, "model_output", "topic that replies are written to"
    )
    dead_letter_topic: str = _setting(
        "KAFKA_DEAD_LETTER_TOPIC",
        text,
        "",
        "topic for messages that can't be answered; unset: the input topic's name with `.dead`",
    )
    feedback_topic: str = _setting(
        "KAFKA_FEEDBACK_TOPIC", text, "model_feedback", "topic for feedback on answers"
    )
    log_requests: bool = _setting(
        "KAFKA_LOG_REQUESTS",
        on_off,
        False,
        "`on` writes each request with its reply to a topic, over Kafka in the reply's "
        "transaction; a request over REST or gRPC fails (503) if brokers don't accept its record",
    )
    log_topic: str = _setting(
        "KAFKA_LOG_TOPIC",
        text,
        "model_log",
        "topic of the request log, if `KAFKA_LOG_REQUESTS` is `on`",
    )
    group_id: str = _setting(
        "KAFKA_GROUP_ID", text, "model-workers", "consumer group; its workers share the partitions"
    )
    share: Share = _setting(  # noqa: RUF009 - the call returns a field
        "KAFKA_SHARE",
        share,
        Share(),
        "share of keys that this group answers, in percent by hash, with changes by time "
        "(`0-100,2027-01-31T10:00:00Z=0-90`); other groups must answer the rest",
    )
    workers: int = _setting(
        "KAFKA_WORKERS", integer(1, 1024), 1, "number of worker processes of one supervisor"
    )
    worker_id: str = _setting(
        "KAFKA_WORKER_ID",
        text,
        "",
        "name of this replica, unique and stable; unset: the host name",
    )
    processing: str = _setting(
        "KAFKA_PROCESSING",
        choice("exactly_once", "at_least_once"),
        "exactly_once",
        "`exactly_once`, or `at_least_once` for lower latency (never lost, maybe twice)",
    )
    batching: str = _setting(
        "KAFKA_BATCHING",
        auto_on_off,
        "auto",
        "`auto` stacks rows of several messages in one call if the class declares itself "
        "row-wise; `on` counts as the declaration; `off` calls the class message by message",
    )
    batch_messages: int = _setting(
        "KAFKA_BATCH_MESSAGES",
        integer(1, 100_000),
        512,
        "limit of messages in one call of the class",
    )
    batch_rows: int = _setting(
        "KAFKA_BATCH_ROWS",
        integer(1, 2**31 - 1),
        4096,
        "limit of rows in one call of the class; a single message may have more",
    )
    non_finite: str = _setting(
        "KAFKA_NON_FINITE",
        choice("refuse", "null"),
        "refuse",
        "NaN and infinity in an answer: `refuse` rejects the message (`bad_prediction`), `null` "
        "writes null",
    )
    commit_messages: int = _setting(
        "KAFKA_COMMIT_MESSAGES",
        integer(1, 1_000_000),
        4096,
        "limit of messages in one transaction",
    )
    max_message_bytes: int = _setting(
        "KAFKA_MAX_MESSAGE_BYTES",
        integer(1, 512 * MIB),
        8 * MIB,
        "limit of a message's value in bytes; larger messages become dead letters (`too_large`)",
    )
    start: str = _setting(
        "KAFKA_START",
        choice("earliest", "latest"),
        "earliest",
        "where a new group starts: `earliest` or `latest`",
    )
    on_gap: str = _setting(
        "KAFKA_ON_GAP",
        choice("stop", "continue"),
        "stop",
        "when retention deleted unread messages: `stop` (not ready) or `continue`",
    )
    crash_attempts: int = _setting(
        "KAFKA_CRASH_ATTEMPTS",
        # The first death does not show which of the messages in flight caused it.
        integer(2, 100),
        2,
        "number of worker deaths after which the message in flight becomes a dead letter",
    )
    predict_timeout_s: float = _setting(
        "KAFKA_PREDICT_TIMEOUT_S",
        number(0.1, 3600.0),
        60.0,
        "time limit of one call of the class, in seconds; then the worker is ended and restarted",
    )
    retry_message_s: float = _setting(
        "KAFKA_RETRY_MESSAGE_S",
        number(0.0, 86_400.0),
        300.0,
        "seconds after which a single message with nothing but temporary errors becomes a dead "
        "letter (`retries_exhausted`)",
    )
    max_failed_consecutive: int = _setting(
        "KAFKA_MAX_FAILED_CONSECUTIVE",
        integer(0, 1_000_000),
        100,
        "number of consecutive failures of the class at which consumption stops; 0: never",
    )
    max_failed_ratio: float = _setting(
        "KAFKA_MAX_FAILED_RATIO",
        number(0.0, 1.0),
        0.5,
        "share of the last 200 messages; consumption stops when the class fails at more of them; "
        "0: never",
    )
    max_rejected_consecutive: int = _setting(
        "KAFKA_MAX_REJECTED_CONSECUTIVE",
        integer(0, 1_000_000),
        0,
        "number of consecutive messages with errors of their senders at which consumption stops; "
        "0: never",
    )
    transaction_timeout_ms: int = _setting(
        "KAFKA_TRANSACTION_TIMEOUT_MS",
        integer(1000, 900_000),
        5000,
        "milliseconds after which brokers abort the transaction of a dead worker",
    )
    session_timeout_ms: int = _setting(
        "KAFKA_SESSION_TIMEOUT_MS",
        integer(1000, 300_000),
        6000,
        "milliseconds after which the group gives the partitions of a dead worker to others",
    )
    stop_timeout_s: float = _setting(
        "KAFKA_STOP_TIMEOUT_S",
        number(0.5, 600.0),
        4.0,
        "seconds after SIGTERM in which workers finish and commit before they are killed",
    )
    state_dir: str = _setting(
        "KAFKA_STATE_DIR",
        text,
        "",
        "folder of files that outlive a worker; unset: a folder in the temporary folder",
    )
    seldon_server: bool = _setting(
        "KAFKA_SELDON_SERVER", on_off, True, "`off`: the supervisor starts no REST and gRPC server"
    )
    http_host: str = _setting(
        "KAFKA_HTTP_HOST", text, "127.0.0.1", "address of `/live`, `/ready`, `/metrics`"
    )
    http_port: int = _setting(
        "KAFKA_HTTP_PORT", integer(0, 65535), 8080, "port of `/live`, `/ready`, `/metrics`"
    )
    log_level: str = _setting(
        "KAFKA_LOG_LEVEL",
        choice("debug", "info", "warning", "error"),
        "info",
        "log level: `debug`, `info`, `warning` or `error`",
    )
    security_protocol: str = _setting(
        "KAFKA_SECURITY_PROTOCOL",
        choice("plaintext", "ssl", "sasl_plaintext", "sasl_ssl"),
        "plaintext",
        "`plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`",
    )
    ssl_ca_cert_file: str = _setting(
        "KAFKA_SSL_CA_CERT_FILE", text, "", "file with the CA certificate (PEM)"
    )
    ssl_client_cert_file: str = _setting(
        "KAFKA_SSL_CLIENT_CERT_FILE", text, "", "file with the client's certificate (PEM)"
    )
    ssl_client_key_file: str = _setting(
        "KAFKA_SSL_CLIENT_KEY_FILE", text, "", "file with the client's key (PEM)"
    )
    ssl_ca_cert: str = _setting("KAFKA_SSL_CA_CERT", text, "", "the CA certificate itself (PEM)")
    ssl_client_cert: str = _setting(
        "KAFKA_SSL_CLIENT_CERT", text, "", "the client's certificate itself (PEM)"
    )
    ssl_client_key: str = _setting(
        "KAFKA_SSL_CLIENT_KEY", text, "", "the client's key itself (PEM)", secret=True
    )
    ssl_client_key_pass: str = _setting(
        "KAFKA_SSL_CLIENT_KEY_PASS", text, "", "password of the client's key", secret=True
    )
    sasl_mechanism: str = _setting(
        "KAFKA_SASL_MECHANISM",
        choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"),
        "PLAIN",
        "`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`",
    )
    sasl_username: str = _setting("KAFKA_SASL_USERNAME", text, "", "SASL user name")
    sasl_password: str = _setting("KAFKA_SASL_PASSWORD", text, "", "SASL password", secret=True)
    librdkafka: Mapping[str, Mapping[str, str]] = dataclasses.field(
        default_factory=dict, repr=False
    )
    """Librdkafka properties by name, by kind of client: `client` (all), `consumer`, `producer`."""
    unknown: Tuple[str, ...] = ()
    """Variables that begin with `KAFKA_` and are not settings; the user model may read them."""

    @property
    def topics(self) -> Tuple[str, ...]:
        """Names of the topics: input, output, dead letters, feedback, and the request log if on."""
        names = (self.input_topic, self.output_topic, self.dead_letter_topic, self.feedback_topic)
        return (*names, self.log_topic) if self.log_requests else names


def variables() -> JsonObject:
    """Returns the fields of `Settings` (`dataclasses.Field`), by environment variable."""
    return {
        field.metadata["variable"]: field
        for field in dataclasses.fields(Settings)
        if "variable" in field.metadata
    }


def load_settings(environ: Optional[Mapping[str, str]] = None) -> Settings:
    """Reads and checks the settings.

    Args:
        environ: variables to read; the process's environment by default.

    Returns:
        The settings. Defaults that depend on other settings are filled in (name of the dead-letter
        topic, worker id, state folder).

    Raises:
        SettingsError: a variable is misspelled, malformed or refused, or two topics have one name.
            The text names the variable.
    """
    environ = os.environ if environ is None else environ
    known = variables()
    unknown = unknown_variables(environ, known, CLIENT_PREFIXES)
    ignored = ignored_by(environ)
    values = {
        field.name: field.metadata["parse"](variable, environ[variable])
        for variable, field in known.items()
        if environ.get(variable, "") != ""
        and variable not in ignored
        and not is_foreign(variable, environ[variable])
    }
    properties = properties_by_client(environ, known)
    settings = Settings(
        librdkafka=properties.by_client, unknown=(*unknown, *properties.unknown), **values
    )
    return _complete(settings)


def _complete(settings: Settings) -> Settings:
    settings = dataclasses.replace(
        settings,
        dead_letter_topic=settings.dead_letter_topic or settings.input_topic + ".dead",
        worker_id=settings.worker_id or socket.gethostname(),
        state_dir=settings.state_dir or _default_state_dir(),
    )
    _check_topics(settings)
    return settings


def _default_state_dir() -> str:
    return str(Path(tempfile.gettempdir()) / f"kafka-workers-{os.getuid()}")


def _check_topics(settings: Settings) -> None:
    topics = {
        "KAFKA_INPUT_TOPIC": settings.input_topic,
        "KAFKA_OUTPUT_TOPIC": settings.output_topic,
        "KAFKA_DEAD_LETTER_TOPIC": settings.dead_letter_topic,
        "KAFKA_FEEDBACK_TOPIC": settings.feedback_topic,
    }
    if settings.log_requests:
        topics["KAFKA_LOG_TOPIC"] = settings.log_topic
    seen: Dict[str, str] = {}
    for variable, topic in topics.items():
        if topic in seen:
            raise SettingsError(
                f"{variable} and {seen[topic]} are both {topic!r}; "
                f"name {'five' if settings.log_requests else 'four'} topics"
            )
        seen[topic] = variable


def log_unknown(settings: Settings, log: logging.Logger) -> None:
    """Logs the variables that begin with `KAFKA_` and are not settings."""
    if settings.unknown:
        log.info("not settings, and left to the class: %s", ", ".join(sorted(settings.unknown)))


def require_broker(settings: Settings) -> Settings:
    """Checks that a broker is set, and returns the same settings.

    Raises:
        SettingsError: no broker is set.
    """
    if not settings.broker:
        raise SettingsError(
            "no Kafka broker: set KAFKA_BROKER=host:port, for example KAFKA_BROKER=localhost:9092"
        )
    return settings
