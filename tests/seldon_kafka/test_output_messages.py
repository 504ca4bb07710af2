"""Output messages have the sender's key, headers and timestamp, and the runtime's headers."""

from __future__ import annotations

from seldon_kafka.dead_letters.letters import Letter, read_letter
from seldon_kafka.messages import DEAD_CUT, Outcome, Rejection, Reply
from seldon_kafka.transport.output_messages import OutputMessage, TopicLimits, compose, size_of
from tests.support.records import record

REPLIES = TopicLimits("model_output", 2, 10_000)
LETTERS = TopicLimits("model_input.dead", 12, 10_000)
HEADERS = (("truth", b"7"), ("Content-Type", b"image/png"), ("trace", None), ("truth", b"8"))
JSON = (("content-type", b"application/json"),)


def composed(outcome: Outcome) -> OutputMessage:
    return compose(outcome, REPLIES, LETTERS, "host.0")[1]


def letter_of(message: OutputMessage) -> Letter:
    stored = message.record._replace(
        topic=message.topic, value=message.value, headers=tuple(message.headers)
    )
    letter = read_letter(stored)
    assert letter is not None
    return letter


def test_a_reply_has_the_identity_of_its_record() -> None:
    source = record(b"x", offset=9, headers=HEADERS, partition=5)
    reply = composed(Reply(source, b"{}", JSON))
    assert (reply.topic, reply.partition) == ("model_output", 1)
    assert (reply.key, reply.timestamp_ms) == (source.key, source.timestamp_ms)
    assert reply.headers == [
        ("truth", b"7"),
        ("kafka-input-content-type", b"image/png"),
        ("trace", None),
        ("truth", b"8"),
        ("content-type", b"application/json"),
        ("kafka-worker", b"host.0"),
        ("kafka-input-topic", b"model_input"),
        ("kafka-input-partition", b"5"),
        ("kafka-input-offset", b"9"),
    ]


def test_a_dead_letter_keeps_the_message_unchanged_and_has_a_reason() -> None:
    source = record(b"\xff", offset=9, headers=HEADERS)
    letter = letter_of(composed(Rejection(source, "not_json", "what is this? é")))
    assert letter.original() == source
    assert (letter.reason, letter.message) == ("not_json", "what is this? é")
    assert letter.source == ("model_input", 3, 9)
    assert (letter.worker, letter.sent_ms) == ("host.0", source.timestamp_ms)


def test_a_dead_letters_own_timestamp_is_that_of_its_rejection() -> None:
    assert composed(Rejection(record(b"x"), "empty", "")).timestamp_ms > 1_700_000_000_000


def test_a_tombstone_stays_a_tombstone() -> None:
    assert composed(Rejection(record(None), "tombstone", "")).value is None


def test_a_replayed_dead_letter_restores_the_original() -> None:
    once = letter_of(composed(Rejection(record(b"x", headers=HEADERS), "empty", "first")))
    again = composed(Rejection(once.record, "not_json", "second"))
    assert letter_of(again).message == "second"
    assert letter_of(again).original().headers == once.record.headers


def test_a_reply_that_is_too_large_becomes_a_dead_letter() -> None:
    letter = letter_of(composed(Reply(record(b"x"), b"y" * 20_000, JSON)))
    assert letter.reason == "reply_too_large"
    assert "10000" in letter.message


def test_a_message_above_the_limit_of_the_dead_letter_topic_is_truncated_and_marked() -> None:
    source = record(b"z" * 30_000)
    message = composed(Rejection(source, "too_large", ""))
    assert size_of(message) <= LETTERS.max_bytes
    assert dict(message.headers)[DEAD_CUT] == b"30000"
    letter = letter_of(message)
    assert letter.cut_from == 30_000
    assert 0 < len(letter.record.value or b"") < 10_000


def test_headers_of_a_sender_with_the_runtimes_names_stay_the_senders() -> None:
    headers = (("kafka-dead-cut", b"abc"), ("kafka-dead-reason", b"mine"))
    letter = letter_of(composed(Rejection(record(b"x", headers=headers), "empty", "ours")))
    assert (letter.reason, letter.cut_from) == ("empty", None)
    assert letter.original().headers == headers


def test_headers_and_a_key_that_are_too_large_do_not_jam_the_dead_letter_topic() -> None:
    source = record(b"v", headers=(("big", b"h" * 20_000),), key=b"k" * 20_000)
    assert size_of(composed(Rejection(source, "empty", ""))) <= LETTERS.max_bytes
