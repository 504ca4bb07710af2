"""Shares of a stream: each key is in exactly one of them."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_kafka.config.settings import SettingsError, load_settings
from seldon_kafka.config.share import Range, Share
from seldon_kafka.messages import Record

cuts = st.lists(st.floats(0.5, 99.5), unique=True, max_size=4)
keys = st.none() | st.binary(max_size=20)


def record(
    key: bytes | None, partition: int = 0, offset: int = 0, timestamp_ms: int = -1
) -> Record:
    return Record("in", partition, offset, timestamp_ms, key, b"", ())


def of(text: str) -> Share:
    return load_settings({"KAFKA_SHARE": text}).share


@given(cuts, keys, st.integers(0, 11), st.integers(0, 2**40))
def test_each_message_is_in_exactly_one_of_all_shares(
    ends: list[float], key: bytes | None, partition: int, offset: int
) -> None:
    edges = [0.0, *sorted(ends), 100.0]
    shares = [Share(Range(*pair)) for pair in itertools.pairwise(edges)]
    assert sum(share.has(record(key, partition, offset)) for share in shares) == 1


def test_a_key_stays_in_its_share_in_every_partition() -> None:
    canary = of("90-100")
    for number in range(200):
        found = {canary.has(record(b"camera-%d" % number, place, place)) for place in range(20)}
        assert len(found) == 1


def test_a_share_has_its_part_of_the_keys_and_of_messages_without_key() -> None:
    canary = of("90-100")
    keyed = Counter(canary.has(record(b"camera-%d" % number)) for number in range(20_000))
    assert 0.09 < keyed[True] / 20_000 < 0.11
    plain = Counter(canary.has(record(None, number % 12, number)) for number in range(20_000))
    assert 0.09 < plain[True] / 20_000 < 0.11


def test_without_a_share_a_group_answers_all() -> None:
    assert load_settings({}).share == Share()


@given(keys, st.integers(0, 11), st.integers(0, 2**40), st.integers(-1, 2**42))
def test_each_message_is_in_exactly_one_share_also_while_they_change(
    key: bytes | None, partition: int, offset: int, timestamp_ms: int
) -> None:
    stable = of("0-100,2026-12-01T10:00:00Z=0-90,2026-12-02T10:00:00+01:00=0-100")
    canary = of("0-0,2026-12-01T10:00:00Z=90-100,2026-12-02T10:00:00+01:00=0-0")
    found = record(key, partition, offset, timestamp_ms)
    assert stable.has(found) != canary.has(found)


def test_a_change_applies_to_messages_from_its_time_on() -> None:
    canary = of("0-0,2026-12-01T10:00:00Z=0-100")
    assert not canary.has(record(b"key", timestamp_ms=1_796_119_199_999))
    assert canary.has(record(b"key", timestamp_ms=1_796_119_200_000))


@pytest.mark.parametrize(
    "text", ["90-100", "0-0.5", "0-0", "0-100,2026-12-01T10:00:00Z=0-90,2026-12-02T09:00:00Z=0-100"]
)
def test_a_share_is_written_as_it_is_read(text: str) -> None:
    assert str(of(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "90",
        "90-",
        "100-90",
        "-1-5",
        "0-101",
        "a-b",
        "nan-5",
        "0-100,0-90",
        "0-100,tomorrow=0-90",
        "0-100,2026-12-01T10:00:00=0-90",
        "0-100,2026-12-01T10:00:00Z",
        "0-100,2026-12-02T10:00:00Z=0-90,2026-12-01T10:00:00Z=0-100",
    ],
)
def test_an_invalid_share_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match="KAFKA_SHARE"):
        of(text)
