"""The wanted configuration of the topics."""

from __future__ import annotations

import dataclasses

import pytest

from seldon_kafka.config.clients import most_bytes, most_log_bytes
from seldon_kafka.config.settings import load_settings
from seldon_kafka.topics.report import lag
from seldon_kafka.topics.wanted import differences, wanted_topics

SETTINGS = load_settings({"KAFKA_BROKER": "unused:1"})


def test_four_topics_of_twelve_partitions_are_wanted() -> None:
    topics = wanted_topics(SETTINGS, brokers=1)
    names = ["model_input", "model_output", "model_input.dead", "model_feedback"]
    assert [t.name for t in topics] == names == list(SETTINGS.topics)
    assert {t.partitions for t in topics} == {12}


@pytest.mark.parametrize(("brokers", "replication"), [(1, 1), (2, 2), (3, 3), (7, 3)])
def test_as_many_replicas_as_brokers_are_wanted_and_at_most_three(
    brokers: int, replication: int
) -> None:
    for topic in wanted_topics(SETTINGS, brokers):
        assert topic.replication == replication
        assert ("min.insync.replicas" in topic.config) == (replication == 3)


def test_the_dead_letter_topic_has_unlimited_retention_and_room_for_headers() -> None:
    taken, _, dead, _ = wanted_topics(SETTINGS, brokers=3)
    assert dead.config["retention.ms"] == "-1"
    assert "retention.ms" not in taken.config
    taken_bytes = int(taken.config["max.message.bytes"])
    assert taken_bytes > SETTINGS.max_message_bytes
    assert int(dead.config["max.message.bytes"]) == taken_bytes + 64 * 1024


def test_the_feedback_topic_has_unlimited_retention() -> None:
    *_, feedback = wanted_topics(SETTINGS, brokers=3)
    assert feedback.config["retention.ms"] == feedback.config["retention.bytes"] == "-1"
    assert int(feedback.config["max.message.bytes"]) > SETTINGS.max_message_bytes


def test_the_topic_of_the_request_log_exists_if_it_is_on_and_fits_request_and_reply() -> None:
    settings = load_settings({"KAFKA_BROKER": "unused:1", "KAFKA_LOG_REQUESTS": "on"})
    *others, log = wanted_topics(settings, brokers=3)
    assert tuple(others) == wanted_topics(SETTINGS, brokers=3)
    assert log.name == "model_log"
    in_base64 = 2 * settings.max_message_bytes * 4 // 3
    assert in_base64 < int(log.config["max.message.bytes"]) < 2 * in_base64
    assert "retention.ms" not in log.config


def test_records_of_the_request_log_fit_the_limits_of_brokers_and_clients() -> None:
    for largest in (1, 40 * 2**20, 512 * 2**20):
        environ = {"KAFKA_BROKER": "unused:1", "KAFKA_MAX_MESSAGE_BYTES": str(largest)}
        settings = load_settings(environ)
        assert most_bytes(settings) <= most_log_bytes(settings)
        assert most_log_bytes(settings) <= max(100_000_000, most_bytes(settings))


def test_an_existing_topic_that_is_as_wanted_has_no_differences() -> None:
    for topic in wanted_topics(SETTINGS, brokers=3):
        config = {**topic.config, "segment.bytes": "1"}
        assert differences(topic, dataclasses.replace(topic, config=config)) == []


def test_every_difference_of_an_existing_topic_is_reported() -> None:
    wanted = wanted_topics(SETTINGS, brokers=3)[2]
    found = dataclasses.replace(
        wanted, partitions=1, replication=1, config={**wanted.config, "retention.ms": "604800000"}
    )
    assert differences(wanted, found) == [
        "has 1 partitions, wanted 12",
        "has replication 1, wanted 3",
        "has retention.ms=604800000, wanted -1",
    ]


@pytest.mark.parametrize(
    ("first", "end", "committed", "expected"),
    [
        (0, 10, 4, 6),
        (0, 10, 10, 0),
        (8, 10, 4, 2),  # retention has deleted unread messages
        (0, 10, None, None),
        (None, None, 4, None),
        (0, 3, 10, 0),  # the topic was created again
    ],
)
def test_lag_is_the_number_of_unread_messages(
    first: int | None, end: int | None, committed: int | None, expected: int | None
) -> None:
    assert lag(first, end, committed) == expected
