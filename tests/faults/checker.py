"""Proves by number what became of every message. Pure: it is handed records, and reads nothing."""

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
"""Header of an input: which images it holds."""
NUMBER = "n"
"""Header of an input: its number, unique in the run."""
EXPECT = "expect"
"""Header of an input: `REPLY`, the reason of the dead letter that it is to become, or `EITHER`."""
REPLY = "reply"
EITHER = "either"

_DESCRIBING = ("content-type", "proto-name")
_SHOWN = 20

Place = tuple[int, int]
"""Partition and offset of an input."""
IsAnswer = Callable[[bytes, "bytes | None", str, str], bool]


class Sent(NamedTuple):
    """What the checker keeps of an input: digests, so that millions fit into memory."""

    number: int
    shown: str
    expect: str
    identity: int
    content: int


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a run's messages.

    Attributes:
        messages: inputs.
        replies: messages of the output topic.
        letters: messages of the dead-letter topic.
        reasons: how many dead letters there are of each reason.
        lost: inputs that neither topic answers, and messages that a replay says it sent again
            and did not.
        doubled: answers beyond the first to an input, and messages that a replay sent again
            more often than it says.
        out_of_order: answers behind that of a later input of the same partition.
        wrong: answers that differ from what the class says of the image alone, that are not the
            sender's (key, headers, timestamp, a dead letter's value), that are a reply where a
            dead letter was due or the other way round, or that nobody asked for.
        uncommitted: partitions whose group offset is not at the end.
        problems: the first of all these in words.
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
    """Is told every input first, then every answer, each topic in its own order.

    Attributes:
        seen: the numbers of the inputs.

    Args:
        is_answer: whether a value, with the header `proto-name` beside it, is the answer to the
            images that the header `IMAGE` names, of the worker that the reply names.
        output_partitions: how many partitions the output topic has.
        dead_partitions: how many the dead-letter topic has.
    """

    def __init__(self, is_answer: IsAnswer, output_partitions: int, dead_partitions: int) -> None:
        self._is_answer = is_answer
        self._partitions = {"reply": output_partitions, "letter": dead_partitions}
        self._sent: dict[Place, Sent] = {}
        self._answered: dict[Place, int] = {}
        self._latest: dict[tuple[str, int], int] = {}
        self._counts: collections.Counter[str] = collections.Counter()
        self._reasons: collections.Counter[str] = collections.Counter()
        self._problems: list[str] = []
        self._replays = Replays()
        self.seen = Numbers()

    def sent(self, record: Record) -> None:
        """An input, as a `read_committed` reader sees it."""
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
        """A message of the output topic."""
        self._counts["replies"] += 1
        sent = self._answer("reply", record, _source(record.headers))
        if sent is None:
            return
        if sent.expect not in (REPLY, EITHER):
            self._wrong(record, sent, f"was answered, though {sent.expect} was due")
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
        """A message of the dead-letter topic: a letter, or the marker of a replay."""
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
            self._wrong(record, sent, f"is a dead letter, {why}, and {sent.expect} was due")
        elif sent.content != _digest(record.value, _flat(headers)) or sent.identity != _identity(
            record.key, _described(headers), timestamp_ms
        ):
            self._wrong(record, sent, "is a dead letter that is not what was sent")

    def verdict(self, committed: Mapping[int, int], ends: Mapping[int, int]) -> Verdict:
        """The verdict, once all records have been told.

        Args:
            committed: the group's offset in each partition of the input topic.
            ends: the offset after each partition's last record or marker.
        """
        lost = [place for place in self._sent if place not in self._answered]
        for place in lost[:_SHOWN]:
            self._note(f"lost: {_name(place, self._sent[place])} was never answered")
        lost_copies, doubled_copies, notes = self._replays.verdict()
        for note in notes:
            self._note(note)
        behind = {p: end for p, end in ends.items() if committed.get(p, 0) != end}
        for partition, end in behind.items():
            at = committed.get(partition, 0)
            self._note(f"offset: partition {partition} stands at {at}, its end is {end}")
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

    def _answer(self, kind: str, record: Record, place: Place) -> Sent | None:
        """The input that a record answers, once it has been checked for number and order."""
        sent = self._sent.get(place)
        if sent is None:
            self._wrong(record, None, f"answers {place}, which was never sent")
            return None
        if place in self._answered:
            self._counts["doubled"] += 1
            self._note(f"doubled: {_name(place, sent)} was answered again at {_where(record)}")
            return None
        self._answered[place] = record.offset
        partition, offset = place
        if self._latest.get((kind, partition), -1) > offset:
            self._counts["out of order"] += 1
            self._note(f"out of order: {_name(place, sent)} at {_where(record)}")
        self._latest[kind, partition] = max(offset, self._latest.get((kind, partition), -1))
        if record.partition != partition % self._partitions[kind]:
            self._wrong(record, sent, f"of partition {partition} went to another partition")
        return sent

    def _wrong(self, record: Record, sent: Sent | None, what: str) -> None:
        self._counts["wrong"] += 1
        who = "a message" if sent is None else f"message {sent.number}"
        self._note(f"wrong: {who} at {_where(record)} {what}")

    def _note(self, problem: str) -> None:
        if len(self._problems) < _SHOWN:
            self._problems.append(problem)


def _name(place: Place, sent: Sent) -> str:
    return f"message {sent.number} (partition {place[0]}, offset {place[1]})"


def _where(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


def _source(headers: Headers) -> Place:
    return _number(headers, INPUT_PARTITION), _number(headers, INPUT_OFFSET)


def _first(headers: Headers, name: str) -> bytes | None:
    """The harness's own headers come first; hostile ones behind them may be called the same."""
    return next((value for found, value in headers if found == name), None)


def _number_of(headers: Headers) -> int:
    """An input's number, or -1."""
    return _whole(_first(headers, NUMBER))


def _number(headers: Headers, name: str) -> int:
    return _whole(header(headers, name))


def _whole(value: bytes | None) -> int:
    try:
        return int(value or b"-1")
    except ValueError:
        return -1


def _text(headers: Headers, name: str) -> str:
    # Few different ones, and millions of them.
    return sys.intern((_first(headers, name) or b"").decode("utf-8", "replace"))


def _described(headers: Headers) -> list[tuple[str, bytes | None]]:
    """An input's headers as they travel with the reply."""
    return [
        (f"kafka-input-{name.lower()}" if name.lower() in _DESCRIBING else name, value)
        for name, value in headers
    ]


def _of_sender(headers: Headers) -> list[tuple[str, bytes | None]]:
    """The part of a reply's headers that came with the input: those before the reply's own."""
    for place, (name, _) in enumerate(headers):
        if name in _DESCRIBING:
            return list(headers[:place])
    return list(headers)


def _as_sent(headers: Headers) -> tuple[Headers, int]:
    """The headers of a dead letter that came with the input, and the input's timestamp."""
    added = max(place for place, (name, _) in enumerate(headers) if name == DEAD_REASON)
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
