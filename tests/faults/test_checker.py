"""The checker detects each kind of broken promise."""

from __future__ import annotations

from typing import Any

import pytest

from seldon_kafka.dead_letters.letters import REPLAYED, replay_headers
from seldon_kafka.messages import DEAD_CUT, Record, Rejection, Reply
from seldon_kafka.transport.output_messages import TopicLimits, compose_dead_letter, compose_reply
from tests.faults.checker import Checker, Verdict
from tests.faults.numbers import Numbers

OUT = TopicLimits("out", 2, 1_000_000)
DEAD = TopicLimits("dead", 2, 1_000_000)
COUNT = 40


def is_answer(value: bytes, proto_name: bytes | None, shown: str, worker: str) -> bool:
    return value == b"answer to " + shown.encode()


def inputs() -> list[Record]:
    return [
        Record(
            "in",
            n % 2,
            n // 2,
            1_700_000_000_000 + n,
            b"key-%d" % (n % 7),
            b"value %d" % n,
            [
                ("n", b"%d" % n),
                ("image", b"%d" % (n % 5)),
                ("expect", b"not_json" if n == 9 else b"reply"),
                ("content-type", b"application/json"),
            ],
        )
        for n in range(COUNT)
    ]


def consumed(topic: str, partition: int, offset: int, message: object) -> Record:
    fields = {name: getattr(message, name) for name in ("timestamp_ms", "key", "value", "headers")}
    return Record(topic, partition, offset, **fields)


def replies(sent: list[Record]) -> list[Record]:
    found: list[Record] = []
    for record in sent:
        image = int(dict(record.headers)["image"] or b"")
        reply = Reply(record, b"answer to %d" % image, [("content-type", b"application/json")])
        message = compose_reply(reply, OUT, "a.0")
        found.append(consumed("out", message.partition, len(found), message))
    return found


def letter(record: Record, reason: str = "not_json") -> Record:
    message = compose_dead_letter(Rejection(record, reason, "why"), DEAD, "a.0")
    return consumed("dead", message.partition, 0, message)


def verdict(
    sent: list[Record], answers: list[Record], letters: list[Record], committed: int = COUNT // 2
) -> Verdict:
    checker = Checker(is_answer, OUT.partitions, DEAD.partitions)
    for record in sent:
        checker.sent(record)
    for record in answers:
        checker.reply(record)
    for record in letters:
        checker.letter(record)
    return checker.verdict({0: COUNT // 2, 1: committed}, {0: COUNT // 2, 1: COUNT // 2})


@pytest.fixture
def sent() -> list[Record]:
    return inputs()


@pytest.fixture
def good(sent: list[Record]) -> list[Record]:
    return replies([record for n, record in enumerate(sent) if n != 9])


def test_a_run_without_fault_is_good(sent: list[Record], good: list[Record]) -> None:
    found = verdict(sent, good, [letter(sent[9])])
    assert found.good
    assert (found.messages, found.replies, found.letters) == (COUNT, COUNT - 1, 1)
    assert found.reasons == {"not_json": 1}
    assert not found.problems


def test_a_lost_message_is_found_by_its_number(sent: list[Record], good: list[Record]) -> None:
    found = verdict(sent, good[:20] + good[21:], [letter(sent[9])])
    assert (found.lost, found.doubled, found.out_of_order, found.wrong) == (1, 0, 0, 0)
    assert "message 21 (partition 1, offset 10)" in found.problems[0]
    assert not found.good


def test_a_lost_dead_letter_is_found(sent: list[Record], good: list[Record]) -> None:
    assert verdict(sent, good, []).lost == 1


def test_a_doubled_message_is_found(sent: list[Record], good: list[Record]) -> None:
    found = verdict(sent, [*good, good[3]], [letter(sent[9])])
    assert (found.lost, found.doubled, found.out_of_order, found.wrong) == (0, 1, 0, 0)
    assert not found.good


def test_an_answer_and_a_dead_letter_to_one_input_are_a_double(
    sent: list[Record], good: list[Record]
) -> None:
    assert verdict(sent, good, [letter(sent[9]), letter(sent[10], "worker_crash")]).doubled == 1


def test_swapped_messages_are_found(sent: list[Record], good: list[Record]) -> None:
    good[10], good[12] = good[12], good[10]
    found = verdict(sent, good, [letter(sent[9])])
    assert (found.lost, found.doubled, found.out_of_order, found.wrong) == (0, 0, 1, 0)
    assert not found.good


@pytest.mark.parametrize(
    "altered",
    [
        {"value": b"answer to 4"},
        {"key": b"another"},
        {"timestamp_ms": 1_700_000_000_000},
        {"partition": 1},
    ],
)
def test_an_altered_message_is_found(
    sent: list[Record], good: list[Record], altered: dict[str, Any]
) -> None:
    good[20 - 1] = good[20 - 1]._replace(**altered)
    found = verdict(sent, good, [letter(sent[9])])
    assert (found.lost, found.doubled, found.out_of_order, found.wrong) == (0, 0, 0, 1)
    assert not found.good


@pytest.mark.parametrize("index", [0, 1, 3])
def test_an_altered_or_missing_header_is_found(
    sent: list[Record], good: list[Record], index: int
) -> None:
    for headers in (
        [*good[5].headers[:index], ("n", b"77"), *good[5].headers[index + 1 :]],
        [*good[5].headers[:index], *good[5].headers[index + 1 :]],
    ):
        answers = [*good[:5], good[5]._replace(headers=headers), *good[6:]]
        assert verdict(sent, answers, [letter(sent[9])]).wrong == 1


def test_an_altered_dead_letter_is_found(sent: list[Record], good: list[Record]) -> None:
    dead = letter(sent[9])
    assert verdict(sent, good, [dead._replace(value=b"value 8")]).wrong == 1
    assert verdict(sent, good, [dead._replace(key=b"another")]).wrong == 1
    assert verdict(sent, good, [letter(sent[9], "predict_failed")]).wrong == 1


@pytest.fixture
def replayed(sent: list[Record]) -> tuple[list[Record], list[Record]]:
    """Inputs with a replay of number 9, and the dead-letter topic after it."""
    headers = [*sent[9].headers, *replay_headers(1, 1_600_000_000_000)]
    sent[40 - 1] = sent[40 - 1]._replace(headers=headers, value=sent[9].value)
    first, again = letter(sent[9]), letter(sent[39])._replace(offset=2)
    marker = Record("dead", 1, 1, 0, None, None, [(REPLAYED, b"1:0")])
    return sent, [first, marker, again]


def answered(sent: list[Record]) -> list[Record]:
    return replies([record for record in sent if dict(record.headers)["n"] != b"9"])


def test_a_replayed_message_is_checked_like_any_other(
    replayed: tuple[list[Record], list[Record]],
) -> None:
    sent, dead = replayed
    assert verdict(sent, answered(sent), dead).good
    altered = sent[39]._replace(headers=sent[39].headers[:-1])
    found = verdict(sent, answered(sent), [*dead[:2], letter(altered)._replace(offset=2)])
    assert (found.lost, found.doubled, found.wrong) == (0, 0, 1)


def test_a_replayed_copy_without_a_marker_is_doubled(
    replayed: tuple[list[Record], list[Record]],
) -> None:
    sent, dead = replayed
    found = verdict(sent, answered(sent), [dead[0], dead[2]])
    assert (found.lost, found.doubled, found.wrong) == (0, 1, 0)
    assert "replays sent message 9 1 times, and say 0 times" in found.problems[0]


def test_a_copy_is_lost_if_only_its_marker_exists(
    replayed: tuple[list[Record], list[Record]],
) -> None:
    sent, dead = replayed
    twice = [*dead, dead[1]._replace(offset=3, headers=[(REPLAYED, b"1:2")])]
    found = verdict(sent, answered(sent), twice)
    assert (found.lost, found.doubled, found.wrong) == (1, 0, 0)
    assert "replays sent message 9 1 times, and say 2 times" in found.problems[0]
    nowhere = [*dead, dead[1]._replace(offset=3, headers=[(REPLAYED, b"1:77")])]
    assert verdict(sent, answered(sent), nowhere).lost == 1


def test_a_message_that_is_neither_dead_letter_nor_marker_is_found(
    sent: list[Record], good: list[Record]
) -> None:
    stray = Record("dead", 0, 5, 0, None, b"?", [])
    assert verdict(sent, good, [letter(sent[9]), stray]).wrong == 1


def test_a_truncated_dead_letter_is_found(sent: list[Record], good: list[Record]) -> None:
    dead = letter(sent[9])
    cut = dead._replace(value=b"val", headers=[*dead.headers, (DEAD_CUT, b"7")])
    assert verdict(sent, good, [cut]).wrong == 1
    # Without the sender's headers, as if not even they had fitted.
    bare = cut._replace(headers=cut.headers[len(sent[9].headers) :])
    assert verdict(sent, good, [bare]).wrong == 1


def test_confirmed_numbers_that_are_missing_are_found(sent: list[Record]) -> None:
    checker = Checker(is_answer, OUT.partitions, DEAD.partitions)
    confirmed = Numbers()
    for n, record in enumerate(sent):
        confirmed.add(n)
        if n not in (3, COUNT - 1):
            checker.sent(record)
    checker.sent(sent[0]._replace(headers=[*sent[0].headers, ("n", b"1000"), ("n", None)]))
    assert confirmed.without(checker.seen) == [3, COUNT - 1]
    assert checker.seen.without(confirmed) == []
    confirmed.add(200_000)
    assert 200_000 in confirmed
    assert 200_001 not in confirmed
    assert len(confirmed) == COUNT + 1


def test_a_dead_letter_instead_of_an_answer_is_found(
    sent: list[Record], good: list[Record]
) -> None:
    letters = [letter(sent[9]), letter(sent[10], "worker_crash")]
    assert verdict(sent, [*good[:9], *good[10:]], letters).wrong == 1


def test_an_answer_to_no_input_is_found(sent: list[Record], good: list[Record]) -> None:
    aborted = replies([sent[0]._replace(offset=1000)])
    assert verdict(sent, [*good, *aborted], [letter(sent[9])]).wrong == 1


def test_an_offset_that_is_not_at_the_end_is_found(sent: list[Record], good: list[Record]) -> None:
    found = verdict(sent, good, [letter(sent[9])], committed=COUNT // 2 - 1)
    assert found.uncommitted == 1
    assert not found.good
