"""Settings are read from the environment and checked; errors name the variable."""

from __future__ import annotations

import pytest

from seldon_kafka.config.clients import checked
from seldon_kafka.config.settings import (
    Settings,
    SettingsError,
    load_settings,
    require_broker,
    variables,
)
from seldon_kafka.worker.consumer import fetching_config


def load(**environ: str) -> Settings:
    return load_settings(environ)


def test_defaults_need_no_variable() -> None:
    settings = load()
    assert settings.input_topic == "model_input"
    assert settings.output_topic == "model_output"
    assert settings.dead_letter_topic == "model_input.dead"
    assert settings.feedback_topic == "model_feedback"
    assert settings.processing == "exactly_once"
    assert settings.worker_id


def test_names_of_seldons_executor_are_understood() -> None:
    settings = load(
        KAFKA_BROKER="b:9092", KAFKA_INPUT_TOPIC="in", KAFKA_OUTPUT_TOPIC="out", KAFKA_WORKERS="3"
    )
    assert (settings.broker, settings.input_topic, settings.output_topic) == ("b:9092", "in", "out")
    assert settings.workers == 3
    assert settings.dead_letter_topic == "in.dead"


def test_the_error_for_a_misspelt_variable_names_the_nearest_setting() -> None:
    with pytest.raises(SettingsError, match=r"KAFKA_INPUT_TOPC.*KAFKA_INPUT_TOPIC"):
        load(KAFKA_INPUT_TOPC="x")


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("KAFKA_WORKERS", "many", "whole number"),
        ("KAFKA_WORKERS", "0", "from 1 to"),
        ("KAFKA_PROCESSING", "twice", "exactly_once, at_least_once"),
        ("KAFKA_BATCHING", "perhaps", "on or off"),
        ("KAFKA_PREDICT_TIMEOUT_S", "soon", "number"),
    ],
)
def test_a_malformed_value_is_an_error_that_names_its_variable(
    variable: str, value: str, part: str
) -> None:
    with pytest.raises(SettingsError, match=f"{variable}.*{part}"):
        load(**{variable: value})


def test_service_links_of_kubernetes_are_ignored() -> None:
    settings = load(
        KAFKA_PORT="tcp://10.0.0.1:9092",
        KAFKA_SERVICE_HOST="10.0.0.1",
        KAFKA_SERVICE_PORT_TCP_CLIENTS="9092",
        KAFKA_PORT_9092_TCP_ADDR="10.0.0.1",
        KAFKA_BOOTSTRAP_SERVICE_HOST="10.0.0.1",
        KAFKA_HTTP_PORT="tcp://10.0.0.1:8080",
        KAFKA_BROKER="tcp://10.0.0.1:9092",
    )
    assert settings.http_port == 8080
    assert settings.broker == ""


def test_librdkafka_properties_are_passed_through() -> None:
    settings = load(KAFKA_CONSUMER_FETCH_MIN_BYTES="7", KAFKA_CLIENT_SOCKET_KEEPALIVE_ENABLE="true")
    assert settings.librdkafka["consumer"] == {"fetch.min.bytes": "7"}
    assert settings.librdkafka["client"] == {"socket.keepalive.enable": "true"}


@pytest.mark.parametrize(
    "variable",
    ["KAFKA_PRODUCER_ACKS", "KAFKA_CONSUMER_ISOLATION_LEVEL", "KAFKA_CLIENT_BOOTSTRAP_SERVERS"],
)
def test_properties_that_would_break_a_promise_are_refused_by_name(variable: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        load(**{variable: "x"})


def test_secrets_are_never_printed() -> None:
    settings = load(KAFKA_SASL_PASSWORD="hunter2", KAFKA_SSL_CLIENT_KEY_PASS="hunter3")
    assert settings.sasl_password == "hunter2"
    assert "hunter" not in repr(settings)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"KAFKA_OUTPUT_TOPIC": "model_input"}, "KAFKA_OUTPUT_TOPIC and KAFKA_INPUT_TOPIC"),
        ({"KAFKA_FEEDBACK_TOPIC": "model_input.dead"}, "KAFKA_FEEDBACK_TOPIC and KAFKA_DEAD"),
        ({"KAFKA_INPUT_TOPIC": "model_feedback"}, "KAFKA_FEEDBACK_TOPIC and KAFKA_INPUT_TOPIC"),
    ],
)
def test_four_different_topics_are_needed(given: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=f"{complaint}.*name four topics"):
        load(**given)


def test_the_topic_of_the_request_log_counts_only_if_the_log_is_on() -> None:
    assert not load().log_requests
    assert "model_input" not in load(KAFKA_LOG_TOPIC="model_input").topics[1:]
    on = {"KAFKA_LOG_REQUESTS": "on"}
    assert load(**on).topics[-1] == "model_log"
    with pytest.raises(SettingsError, match=r"KAFKA_LOG_TOPIC and KAFKA_INPUT.*name five topics"):
        load(**on, KAFKA_LOG_TOPIC="model_input")


def test_the_error_for_a_missing_broker_says_what_to_do() -> None:
    with pytest.raises(SettingsError, match="KAFKA_BROKER=host:port"):
        require_broker(load())


def test_every_setting_has_a_line_of_help() -> None:
    assert all(field.metadata["help"] for field in variables().values())


def test_variables_of_the_class_are_ignored() -> None:
    settings = load(KAFKA_AUDIT_TOPIC="audit", KAFKA_CONSUMER_LAG_TOPIC="lags")
    assert settings.unknown == ("KAFKA_AUDIT_TOPIC", "KAFKA_CONSUMER_LAG_TOPIC")
    assert settings.librdkafka["consumer"] == {}


@pytest.mark.parametrize("variable", ["KAFKA_BROKERS", "KAFKA_WORKER", "KAFKA_GROUP"])
def test_a_variable_similar_to_a_setting_can_be_allowed(variable: str) -> None:
    with pytest.raises(SettingsError, match=f"KAFKA_IGNORE={variable}"):
        load(**{variable: "x"})
    assert load(**{variable: "x", "KAFKA_IGNORE": f"{variable},KAFKA_OTHER"}).unknown == ()


def test_batching_is_automatic_by_default() -> None:
    assert [load(KAFKA_BATCHING=word).batching for word in ("auto", "on", "false")] == [
        "auto",
        "on",
        "off",
    ]
    assert load().batching == "auto"


def test_a_call_may_take_its_full_timeout_without_leaving_the_group() -> None:
    settings = load(KAFKA_BROKER="b:9092", KAFKA_PREDICT_TIMEOUT_S="600")
    assert fetching_config(settings)["max.poll.interval.ms"] > 1.25 * 600_000


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("KAFKA_CONSUMER_FETCH_MIN_BYTES", "many", "Invalid value"),
        ("KAFKA_PRODUCER_LINGER_MS", "-5", "outside allowed range"),
        ("KAFKA_CLIENT_LOGGER", "x", "log of its own"),
        ("KAFKA_CLIENT_DEFAULT_TOPIC_CONFIG", "x", "is a table"),
    ],
)
def test_the_error_for_an_invalid_property_names_its_variable(
    variable: str, value: str, complaint: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}.*{complaint}"):
        checked(load(**{"KAFKA_BROKER": "localhost:9092", variable: value}))
