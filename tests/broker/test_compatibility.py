"""User models of the compatibility table, in real workers with a backlog of all messages."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from seldon_kafka.messages import Record, Rejection, Reply, header
from tests.compatibility.answer import Answer
from tests.compatibility.classes import CLASSES, Case
from tests.compatibility.pairs import expectations, payloads_of
from tests.compatibility.report import failures, text
from tests.compatibility.runtime import answer_of
from tests.support.stream import Stream, assert_once_and_in_order, wait_until

pytestmark = pytest.mark.filterwarnings("ignore")

MESSAGES = 1200
NUMBER = "number"
# One of each kind: plain, with a false declaration, with buffers, with tags and metrics of the
# call, in place, with whole messages, with meta, and with many forms of answers.
NAMES = (
    *("Centred", "FalselyCentred", "DeclaredTwice", "KeptBuffer", "TagsOfAll"),
    *("MetricsOfAllTypes", "DoublesInPlace", "RawEcho", "SeesAll", "Squeezed"),
)
_CASES = [case for case in CLASSES if case.name in NAMES]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: str(case.name))
def test_a_backlog_of_all_messages_is_answered_as_by_seldon(
    case: Case, new_stream: Callable[..., Stream]
) -> None:
    stream = new_stream(partitions=3)
    payloads = [payload for payload in payloads_of(case) if payload.value is not None]
    chosen = random.Random(7).choices(payloads, k=MESSAGES)
    for number, payload in enumerate(chosen):
        named = [(NUMBER, b"%d" % number), *payload.headers]
        stream.send([payload.value], headers=named, partition=number % 3)
    stream.start("seldon_kafka", "worker", case.class_name, KAFKA_WORKER_ID="a")
    wait_until(lambda: stream.lag() == 0, 60, "all is answered or rejected")
    replies, letters = stream.replies(0), stream.letters(0)
    assert_once_and_in_order(replies, MESSAGES - len(letters))
    found: dict[int, Answer] = {}
    for reply in replies:
        found[_number(reply)] = answer_of(Reply(reply, reply.value or b"", reply.headers))
    for letter in letters:
        rejection = Rejection(letter.record, letter.reason, letter.message)
        found[_number(letter.record)] = answer_of(rejection)
    pairs = [expectations(case).alone(payload) for payload in chosen]
    failed = failures(pairs, [found[number] for number in range(MESSAGES)])
    assert not failed, text(failed)


def _number(record: Record) -> int:
    return int(header(record.headers, NUMBER) or b"-1")
