"""Checks every message of a run. The checker is pure: it gets records, and reads no topic."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from seldon_kafka.dead_letters.letters import read_letter, replayed_position
from seldon_kafka.messages import (
    DEAD_REASON,
    INPUT_OFFSET,
    INPUT_PARTITION,
    INPUT_TIMESTAMP,
    WORKER,
    Headers,
    Record,
    header,
)
from tests.faults.numbers import Numbers
from tests.faults.replays import Replays, is_copy

IMAGE = "image"
"""Header of an input: the images that it contains."""
NUMBER = "n"
"""Header of an input: its number, unique in the run."""
EXPECT = "expect"
"""Header of an input: `REPLY`, the reason of the expected dead letter, or `EITHER`."""
REPLY = "reply"
EITHER = "either"

_DESCRIBING = ("content-type", "proto-name")
_SHOWN = 20

InputPosition = tuple[int, int]
"""Partition and offset of an input."""
IsAnswer = Callable[[bytes, "bytes | None", str, str], bool]


class Sent(NamedTuple):
    """A digest of an input, so that millions of inputs fit into memory."""

    number: int
    shown: str
    expect: str
    identity: int
    content: int


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The result of the check.

    Attributes:
        messages: number of inputs.
        replies: number of messages in the output topic.
        letters: number of messages in the dead-letter topic.
        reasons: number of dead letters by reason.
        lost: inputs without an answer, and messages that a replay marked as sent and did not
            send.
        doubled: answers beyond the first to an input, and messages that a replay sent more often
            than it marked.
        out_of_order: answers behind that of a later input of the same partition.
        wrong: answers that differ from the user model's answer to the image alone; answers whose
            key, headers, timestamp or dead-letter value differ from the input's; replies instead
            of dead letters and the reverse; answers to no input.
        uncommitted: partitions whose committed offset is not at the end.
        problems: descriptions of the first of these.
    """

    messages: int
    replies: int
    letters: int
    reasons: Mapping[str, int]
    lost: int
    doubled: int
    out_of_order: int
    wrong: int
    uncommitted: int
    problems: Sequence[str]

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        found = (self.lost, self.doubled, self.out_of_order, self.wrong, self.uncommitted)
        return not any(found)


class Checker:
    """Checks every input first, then every answer, each topic in its order.

    Args:
        is_answer: returns whether a value with the header `proto-name` is the answer of a worker
            to the images of the header `IMAGE`.
        output_partitions: number of partitions of the output topic.
        dead_partitions: number of partitions of the dead-letter topic.

    Attributes:
        seen: the numbers of the inputs.
    """

    def __init__(self, is_answer: IsAnswer, output_partitions: int, dead_partitions: int) -> None:
        self._is_answer = is_answer
        self._partitions = {"reply": output_partitions, "letter": dead_partitions}
        self._sent: dict[InputPosition, Sent] = {}
        self._answered: dict[InputPosition, int] = {}
        self._latest: dict[tuple[str, int], int] = {}
        self._counts: collections.Counter[str] = collections.Counter()
        self._reasons: collections.Counter[str] = collections.Counter()
        self._problems: list[str] = []
        self._replays = Replays()
        self.seen = Numbers()

    def sent(self, record: Record) -> None:
        """Adds an input, as a `read_committed` reader gets it."""
        headers = record.headers
        number = _number_of(headers)
        if number >= 0:
            self.seen.add(number)
        if is_copy(headers):
            self._replays.copy(number)
        self._sent[record.partition, record.offset] = Sent(
            number,
            _text(headers, IMAGE),
            _text(headers, EXPECT) or REPLY,
            _identity(record.key, _described(headers), record.timestamp_ms),
            _digest(record.value, _flat(headers)),
        )

    def reply(self, record: Record) -> None:
        """Checks a message of the output topic."""
        self._counts["replies"] += 1
        sent = self._answer("reply", record, _source(record.headers))
        if sent is None:
            return
        if sent.expect not in (REPLY, EITHER):
            self._wrong(record, sent, f"was answered instead of {sent.expect}")
            return
        identity = _identity(record.key, _of_sender(record.headers), record.timestamp_ms)
        if identity != sent.identity:
            self._wrong(record, sent, "came back with another key, header or timestamp")
        elif sent.expect == REPLY and not self._is_answer(
            record.value or b"",
            header(record.headers, "proto-name"),
            sent.shown,
            _text(record.headers, WORKER),
        ):
            self._wrong(record, sent, f"got the wrong answer: {record.value!r:.300}")

    def letter(self, record: Record) -> None:
        """Checks a message of the dead-letter topic: a dead letter, or the marker of a replay."""
        letter = read_letter(record)
        if letter is None:
            replayed = replayed_position(record)
            if replayed is None:
                self._wrong(record, None, "is neither a dead letter nor a marker of a replay")
            else:
                self._replays.marker(replayed)
            return
        self._replays.letter(letter.at, _number_of(record.headers))
        self._counts["letters"] += 1
        self._reasons[letter.reason] += 1
        _, partition, offset = letter.source
        sent = self._answer("letter", record, (partition, offset))
        if sent is None:
            return
        headers, timestamp_ms = _as_sent(record.headers)
        if sent.expect not in (letter.reason, EITHER):
            why = f"{letter.reason} ({letter.message})"
            self._wrong(record, sent, f"is a dead letter, {why}, instead of {sent.expect}")
        elif sent.content != _digest(record.value, _flat(headers)) or sent.identity != _identity(
            record.key, _described(headers), timestamp_ms
        ):
            self._wrong(record, sent, "is a dead letter that differs from the input")

    def verdict(self, committed: Mapping[int, int], ends: Mapping[int, int]) -> Verdict:
        """Returns the verdict after all records.

        Args:
            committed: the group's committed offset by partition of the input topic.
            ends: the offset after the last record or marker, by partition.
        """
        lost = [position for position in self._sent if position not in self._answered]
        for position in lost[:_SHOWN]:
            self._add_problem(f"lost: {_name(position, self._sent[position])} was never answered")
        lost_copies, doubled_copies, problems = self._replays.verdict()
        for problem in problems:
            self._add_problem(problem)
        behind = {p: end for p, end in ends.items() if committed.get(p, 0) != end}
        for partition, end in behind.items():
            at = committed.get(partition, 0)
            self._add_problem(
                f"offset: partition {partition} is committed to {at}, its end is {end}"
            )
        return Verdict(
            messages=len(self._sent),
            replies=self._counts["replies"],
            letters=self._counts["letters"],
            reasons=dict(self._reasons),
            lost=len(lost) + lost_copies,
            doubled=self._counts["doubled"] + doubled_copies,
            out_of_order=self._counts["out of order"],
            wrong=self._counts["wrong"],
            uncommitted=len(behind),
            problems=tuple(self._problems),
        )

    def _answer(self, kind: str, record: Record, position: InputPosition) -> Sent | None:
        """Returns the input of an answer, after a check for doubles, order and partition."""
        sent = self._sent.get(position)
        if sent is None:
            self._wrong(record, None, f"answers {position}, which was never sent")
            return None
        if position in self._answered:
            self._counts["doubled"] += 1
            self._add_problem(
                f"doubled: {_name(position, sent)} was answered again at {_where(record)}"
            )
            return None
        self._answered[position] = record.offset
        partition, offset = position
        if self._latest.get((kind, partition), -1) > offset:
            self._counts["out of order"] += 1
            self._add_problem(f"out of order: {_name(position, sent)} at {_where(record)}")
        self._latest[kind, partition] = max(offset, self._latest.get((kind, partition), -1))
        if record.partition != partition % self._partitions[kind]:
            self._wrong(record, sent, f"of partition {partition} went to another partition")
        return sent

    def _wrong(self, record: Record, sent: Sent | None, what: str) -> None:
        self._counts["wrong"] += 1
        subject = "a message" if sent is None else f"message {sent.number}"
        self._add_problem(f"wrong: {subject} at {_where(record)} {what}")

    def _add_problem(self, problem: str) -> None:
        if len(self._problems) < _SHOWN:
            self._problems.append(problem)


def _name(position: InputPosition, sent: Sent) -> str:
    return f"message {sent.number} (partition {position[0]}, offset {position[1]})"


def _where(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


def _source(headers: Headers) -> InputPosition:
    return _number(headers, INPUT_PARTITION), _number(headers, INPUT_OFFSET)


def _first(headers: Headers, name: str) -> bytes | None:
    """Returns the first such header, which is the harness's; hostile ones may follow."""
    return next((value for found, value in headers if found == name), None)


def _number_of(headers: Headers) -> int:
    """Returns the number of an input, or -1."""
    return _whole(_first(headers, NUMBER))


def _number(headers: Headers, name: str) -> int:
    return _whole(header(headers, name))


def _whole(value: bytes | None) -> int:
    try:
        return int(value or b"-1")
    except ValueError:
        return -1


def _text(headers: Headers, name: str) -> str:
    # Interned, because millions of inputs have a few different texts.
    return sys.intern((_first(headers, name) or b"").decode("utf-8", "replace"))


def _described(headers: Headers) -> list[tuple[str, bytes | None]]:
    """Returns an input's headers as the reply should have them."""
    return [
        (f"kafka-input-{name.lower()}" if name.lower() in _DESCRIBING else name, value)
        for name, value in headers
    ]


def _of_sender(headers: Headers) -> list[tuple[str, bytes | None]]:
    """Returns the input's part of a reply's headers, which is before the reply's own."""
    for index, (name, _) in enumerate(headers):
        if name in _DESCRIBING:
            return list(headers[:index])
    return list(headers)


def _as_sent(headers: Headers) -> tuple[Headers, int]:
    """Returns the input's headers and timestamp from the headers of a dead letter."""
    added = max(index for index, (name, _) in enumerate(headers) if name == DEAD_REASON)
    return headers[:added], _number(headers[added:], INPUT_TIMESTAMP)


def _identity(
    key: bytes | None, headers: Sequence[tuple[str, bytes | None]], timestamp_ms: int
) -> int:
    return _digest(key, _flat(headers), b"%d" % timestamp_ms)


def _flat(headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    return repr([tuple(item) for item in headers]).encode()


def _digest(*parts: bytes | None) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(b"-" if part is None else b"%d:" % len(part))
        digest.update(part or b"")
    return int.from_bytes(digest.digest(), "big")
