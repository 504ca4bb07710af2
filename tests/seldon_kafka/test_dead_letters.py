"""Dead letters: their fields, and the selection for a replay or a purge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_kafka.dead_letters.index import Index, index_of, plan
from seldon_kafka.dead_letters.letters import (
    REPLAYED,
    Letter,
    RecordPosition,
    parse_position,
    read_letter,
    replay_headers,
)
from seldon_kafka.dead_letters.replay import choose, chunks, describe_failure
from seldon_kafka.dead_letters.selection import Selection, parse_time
from seldon_kafka.dead_letters.show import shown
from seldon_kafka.messages import Headers, Record, Rejection
from seldon_kafka.transport.deliveries import NotCommitted, Refusal
from seldon_kafka.transport.output_messages import TopicLimits, compose
from tests.support.records import record

TARGET = TopicLimits("model_input.dead", 12, 10_000)
EVERYTHING = Selection()
NOON_MS = 1_717_156_800_000  # 2024-05-31T12:00Z


def stored(source: Record, offset: int = 0, reason: str = "empty", at_ms: int = NOON_MS) -> Record:
    """Returns the dead letter of a record, as it is stored in the topic."""
    message = compose(Rejection(source, reason, "why"), TARGET, TARGET, "host.0")[1]
    return Record(
        message.topic,
        message.partition,
        offset,
        at_ms,
        message.key,
        message.value,
        tuple(message.headers),
    )


def letter(source: Record, **fields: Any) -> Letter:
    found = read_letter(stored(source, **fields))
    assert found is not None
    return found


def marker(position: str, offset: int) -> Record:
    return record(None, offset, ((REPLAYED, position.encode()),))


def positions(letters: Any) -> list[str]:
    return [item.position for item in letters]


def replayed(source: Record, attempts: int) -> Record:
    """Returns a record as its replay is read from the input topic."""
    first = letter(source).original()
    headers = (*first.headers, *replay_headers(attempts, first.timestamp_ms))
    return source._replace(headers=headers, timestamp_ms=NOON_MS, offset=99)


def test_a_letter_has_the_number_of_replays_and_the_first_timestamp() -> None:
    source = record(b"x", headers=(("truth", b"7"),))
    assert (letter(source).attempts, letter(source).sent_ms) == (0, source.timestamp_ms)
    again = letter(replayed(source, 2))
    assert (again.attempts, again.sent_ms) == (2, source.timestamp_ms)
    assert again.source == ("model_input", 3, 99)


def test_headers_of_replays_are_not_part_of_the_original() -> None:
    source = record(b"x", headers=(("truth", b"7"),))
    once = letter(replayed(source, 1))
    assert once.original().headers == source.headers
    assert once.original().timestamp_ms == source.timestamp_ms
    assert letter(replayed(once.original(), 2)).original().headers == source.headers


HEADER = st.tuples(st.sampled_from(["a", "kafka-dead-reason"]), st.none() | st.binary(max_size=4))


@given(st.lists(HEADER, max_size=4).map(tuple), st.none() | st.binary(max_size=8))
def test_a_message_is_restored_with_any_headers(headers: Headers, value: bytes | None) -> None:
    source = record(value, headers=headers)
    assert letter(source).original() == source
    assert letter(replayed(source, 3)).original().headers == headers


def test_only_messages_of_the_runtime_are_letters() -> None:
    assert read_letter(record(b"x")) is None
    assert read_letter(record(b"x", headers=(("kafka-dead-reason", b"empty"),))) is None
    assert read_letter(marker("3:0", 1)) is None


def test_a_long_or_binary_key_is_shown_as_short_text() -> None:
    assert letter(record(b"x", key=b"\xff-1")).key == "\\xff-1"
    assert letter(record(b"x", key=None)).key is None
    assert letter(record(b"x", key=b"k" * 9000)).key == "k" * 200 + "…"


@pytest.mark.parametrize("text", ["3", "3:", ":3", "-1:3", "3:1:7", "a:b", "3:1x"])
def test_a_position_is_a_partition_and_an_offset(text: str) -> None:
    assert parse_position("3:17") == RecordPosition(3, 17)
    with pytest.raises(ValueError, match="PARTITION:OFFSET"):
        parse_position(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOON_MS - 90_000),
        ("2h", NOON_MS - 2 * 3_600_000),
        ("7 d", NOON_MS - 7 * 86_400_000),
        ("2024-05-31T12:00Z", NOON_MS),
        ("2024-05-31T14:00+02:00", NOON_MS),
        ("2024-05-31 12:00:00z", NOON_MS),
    ],
)
def test_times_are_spans_before_now_or_iso(text: str, expected: int) -> None:
    assert parse_time(text, NOON_MS) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2", "2y", "-1h", "2024-13-01"])
def test_an_invalid_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="2h, 7d"):
        parse_time(text, NOON_MS)


@pytest.mark.parametrize(
    ("selection", "selected"),
    [
        (Selection(), True),
        (Selection(positions=frozenset({RecordPosition(3, 17), RecordPosition(0, 1)})), True),
        (Selection(positions=frozenset({RecordPosition(3, 18)})), False),
        (Selection(reasons=frozenset({"empty", "ragged"})), True),
        (Selection(reasons=frozenset({"ragged"})), False),
        (Selection(since_ms=NOON_MS), True),
        (Selection(since_ms=NOON_MS + 1), False),
        (Selection(until_ms=NOON_MS), False),
        (Selection(until_ms=NOON_MS + 1), True),
        (Selection(keys=frozenset({"key"})), True),
        (Selection(keys=frozenset({"other"})), False),
        (Selection(partitions=frozenset({3})), True),
        (Selection(partitions=frozenset({4})), False),
        (Selection(reasons=frozenset({"empty"}), keys=frozenset({"other"})), False),
    ],
)
def test_a_letter_is_selected_if_it_meets_every_condition(
    selection: Selection, selected: bool
) -> None:
    assert selection.selects(letter(record(b"x"), offset=17)) is selected


def index_with_a_replayed_letter() -> Index:
    """Returns letters at 0, 1, 3 and 5; letter 0 and a deleted one were replayed."""
    records = [
        stored(record(b"x"), 0),
        stored(record(b"x"), 1),
        marker("3:0", 2),
        stored(record(b"x"), 3, reason="ragged"),
        marker("3:-1", 4),
        stored(record(b"x"), 5),
        marker("9:9", 6),
    ]
    return index_of(records, Selection(reasons=frozenset({"empty"})))


def test_an_index_has_the_selected_letters_and_how_often_they_were_replayed() -> None:
    index = index_with_a_replayed_letter()
    assert positions(index.letters) == ["3:0", "3:1", "3:5"]
    assert index.others == 1
    assert [index.attempts(item) for item in index.letters] == [1, 0, 0]
    assert positions(index.only(replayed=True).letters) == ["3:0"]
    assert positions(index.only(replayed=False).letters) == ["3:1", "3:5"]


def test_an_index_holds_no_message() -> None:
    large = index_of([stored(record(b"v" * 5000, headers=(("h", b"h" * 3000),)))], EVERYTHING)
    assert large.letters[0].size > 8000
    assert len(repr(large)) < 1000


def test_a_purge_deletes_the_letters_before_the_first_that_stays() -> None:
    index = index_with_a_replayed_letter()
    found = plan(index, {3: 7})
    # The marker at 4 has no position, so it is another program's message; 3 stays anyway.
    assert found.before == {3: 3}
    assert (positions(found.deleted), positions(found.staying)) == (["3:0", "3:1"], ["3:5"])
    found = plan(index.only(replayed=True), {3: 7})
    assert (found.before, positions(found.staying)) == ({3: 1}, [])


def test_a_purge_of_everything_takes_the_markers_along() -> None:
    records = [stored(record(b"x"), 0), marker("3:0", 1), stored(record(b"x"), 2)]
    found = plan(index_of(records, EVERYTHING), {3: 9})
    assert (found.before, len(found.deleted), found.staying) == ({3: 9}, 2, [])


def test_nothing_is_deleted_where_no_letter_is_selected() -> None:
    records = [marker("3:0", 1), record(b"a stranger's", 2)]
    assert plan(index_of(records, EVERYTHING), {3: 3}).before == {}


def test_letters_that_arrive_during_a_purge_are_kept_and_do_not_disturb_it() -> None:
    records = [stored(record(b"x"), 0), marker("9:9", 1), stored(record(b"x"), 2)]
    found = plan(index_of(records, EVERYTHING), {3: 2})
    assert (found.before, positions(found.deleted), found.staying) == ({3: 2}, ["3:0"], [])
    late = index_of(records, Selection(positions=frozenset({RecordPosition(3, 0)})))
    assert plan(late, {3: 1}).before == {3: 1}


def test_a_replay_leaves_out_letters_that_differ_from_the_original() -> None:
    records = [
        stored(record(b"x"), 0),
        stored(record(b"x"), 1, reason="unreadable"),
        stored(record(b"x"), 2, reason="bad_headers"),
    ]
    chosen = choose(index_of(records, EVERYTHING), attempts=3, again=False)
    assert positions(chosen.letters) == ["3:0"]
    assert positions(item for item, _ in chosen.left_out) == ["3:1", "3:2"]


def test_a_letter_with_an_impossible_time_is_shown_too() -> None:
    source = record(b"x", headers=replay_headers(1, 10**20))
    assert "100000000000000000000 ms" in shown(letter(source), 0, None)


def test_a_replay_leaves_out_replayed_truncated_and_often_tried_letters() -> None:
    cut = compose(Rejection(record(b"x" * 20_000), "empty", ""), TARGET, TARGET, "w")[1]
    records = [
        stored(record(b"x"), 0),
        stored(record(b"x"), 1),
        marker("3:1", 2),
        stored(replayed(record(b"x"), 2), 3),
        stored(replayed(record(b"x"), 3), 4),
        record(cut.value, 5, tuple(cut.headers)),
    ]
    chosen = choose(index_of(records, EVERYTHING), attempts=3, again=False)
    assert positions(chosen.letters) == ["3:0", "3:3"]
    assert chosen.done == 1
    reasons = {item.position: why for item, why in chosen.left_out}
    assert reasons.keys() == {"3:4", "3:5"}
    assert "replayed 3 times" in reasons["3:4"]
    assert "cut" in reasons["3:5"]


def test_replaying_again_counts_every_replay() -> None:
    records = [stored(replayed(record(b"x"), 1), 0), marker("3:0", 1)]
    index = index_of(records, EVERYTHING)
    assert positions(choose(index, attempts=3, again=True).letters) == ["3:0"]
    assert choose(index, attempts=2, again=True).letters == []


def test_a_chunk_is_bounded_by_letters_and_by_bytes() -> None:
    small = letter(record(b"x"))
    assert [len(chunk) for chunk in chunks([small] * 1200)] == [500, 500, 200]
    large = letter(record(b"x" * 9000))
    counts = [len(chunk) for chunk in chunks([large] * 2000)]
    assert sum(counts) == 2000
    assert max(counts) * large.size <= 8 * 1024 * 1024
    assert list(chunks([])) == []


def test_a_failed_transaction_says_whether_its_letters_were_sent() -> None:
    unknown = describe_failure(NotCommitted("timed out", unknown=True))
    assert "not known whether the last letters were sent: timed out" in unknown
    assert "nothing is sent twice" in unknown
    assert "were not sent" in describe_failure(NotCommitted("no leader"))
    refusal = Refusal("in", (3, 17), 9000, "too large")
    assert "refuse the letter at 3:17" in describe_failure(NotCommitted("too large", refusal))
