"""Reads messages of the dead-letter topic: the original message, and why it was rejected."""

from __future__ import annotations

import dataclasses
import sys
from typing import Dict, NamedTuple, Optional, Tuple

from seldon_kafka.messages import (
    DEAD_APP_CODE,
    DEAD_ATTEMPTS,
    DEAD_CUT,
    DEAD_ERROR,
    DEAD_ERROR_REASON,
    DEAD_MESSAGE,
    DEAD_NO_KEY,
    DEAD_REASON,
    DEAD_STATUS_CODE,
    INPUT_OFFSET,
    INPUT_PARTITION,
    INPUT_TIMESTAMP,
    INPUT_TOPIC,
    WORKER,
    Headers,
    JsonObject,
    Record,
    header,
)

REPLAYED = "kafka-dead-replayed"
"""Header of the marker of a replayed dead letter: its `partition:offset`."""

_KEY_CHARACTERS = 200
_ERROR_HEADERS = {
    "status": DEAD_STATUS_CODE,
    "error": DEAD_ERROR_REASON,
    "app code": DEAD_APP_CODE,
    "body": DEAD_ERROR,
}


class RecordPosition(NamedTuple):
    """The position of a dead letter in the dead-letter topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


def parse_position(text: str) -> RecordPosition:
    """Parses `PARTITION:OFFSET`.

    Raises:
        ValueError: the text is no position.
    """
    partition, _, offset = text.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise ValueError(f"{text!r} is not PARTITION:OFFSET")
    return RecordPosition(int(partition), int(offset))


@dataclasses.dataclass(frozen=True)
class Envelope:
    """The facts about a dead letter without its value: small for every message.

    Attributes:
        at: its position in the dead-letter topic.
        rejected_ms: time of the rejection, in milliseconds since 1970.
        reason: the stable reason word.
        message: the text of the reason.
        key: the key as text, or None; a long key is cut.
        source: topic, partition and offset of the original message.
        sent_ms: time of the first sending, or -1.
        worker: name of the worker that rejected it.
        attempts: number of replays before it was rejected.
        size: size of the whole message, in bytes.
        cut_from: size of the original value, in bytes, if it was cut.
    """

    at: RecordPosition
    rejected_ms: int
    reason: str
    message: str
    key: Optional[str]
    source: Tuple[str, int, int]
    sent_ms: int
    worker: str
    attempts: int
    size: int
    cut_from: Optional[int]

    @property
    def position(self) -> str:
        """Its position in the dead-letter topic: `partition:offset`."""
        return str(self.at)

    def as_dict(self) -> JsonObject:
        """Returns the dead letter for `--json`, without the value."""
        topic, partition, offset = self.source
        return {
            "place": self.position,
            "reason": self.reason,
            "message": self.message,
            "key": self.key,
            "input": {"topic": topic, "partition": partition, "offset": offset},
            "rejected_ms": self.rejected_ms,
            "sent_ms": self.sent_ms,
            "worker": self.worker,
            "attempts": self.attempts,
            "bytes": self.size,
            "cut_from": self.cut_from,
        }


@dataclasses.dataclass(frozen=True)
class Letter(Envelope):
    """A dead letter with its value.

    Attributes:
        record: the message of the dead-letter topic.
    """

    record: Record

    def original(self) -> Record:
        """Returns the original message, without the headers of the runtime."""
        theirs = self.record.headers[: _added_from(self.record.headers)]
        earlier = _earlier_replay(theirs)
        topic, partition, offset = self.source
        added = self.record.headers[_added_from(self.record.headers) :]
        return Record(
            topic,
            partition,
            offset,
            self.sent_ms,
            None if header(added, DEAD_NO_KEY) else self.record.key,
            self.record.value,
            tuple(theirs if earlier is None else theirs[:-_REPLAY_HEADERS]),
        )

    def error(self) -> Dict[str, str]:
        """Returns the parts of the user model's exception, by name."""
        added = self.record.headers[_added_from(self.record.headers) :]
        found = {word: _text(added, name) for word, name in _ERROR_HEADERS.items()}
        return {word: text for word, text in found.items() if text}


def read_envelope(record: Record) -> Optional[Envelope]:
    """Returns the facts of a dead letter; None for a message that the runtime did not write."""
    added = _added_from(record.headers)
    if added < 0:
        return None
    # Headers of the same names before the reason are the sender's.
    ours = record.headers[added:]
    topic = _text(ours, INPUT_TOPIC)
    if not topic:
        return None
    cut_from = _number(ours, DEAD_CUT)
    attempts, sent_ms = _earlier_replay(record.headers[:added]) or (
        0,
        _number(ours, INPUT_TIMESTAMP),
    )
    return Envelope(
        at=RecordPosition(record.partition, record.offset),
        rejected_ms=record.timestamp_ms,
        # Thousands of dead letters often share these.
        reason=sys.intern(_text(ours, DEAD_REASON)),
        message=sys.intern(_text(ours, DEAD_MESSAGE)),
        key=_key_text(record.key),
        source=(
            sys.intern(topic),
            _number(ours, INPUT_PARTITION),
            _number(ours, INPUT_OFFSET),
        ),
        sent_ms=sent_ms,
        worker=sys.intern(_text(ours, WORKER)),
        attempts=attempts,
        size=_size(record),
        cut_from=cut_from if cut_from >= 0 else None,
    )


def read_letter(record: Record) -> Optional[Letter]:
    """Returns a dead letter; None for a message that the runtime did not write."""
    envelope = read_envelope(record)
    return None if envelope is None else Letter(**vars(envelope), record=record)


def replay_headers(attempts: int, sent_ms: int) -> Headers:
    """Returns the headers that follow the sender's headers in a replayed message.

    Args:
        attempts: number of replays, with this one.
        sent_ms: time of the first sending; the message's timestamp is the time of the replay.
    """
    return ((DEAD_ATTEMPTS, b"%d" % attempts), (INPUT_TIMESTAMP, b"%d" % sent_ms))


_REPLAY_HEADERS = len(replay_headers(1, 0))


def _earlier_replay(headers: Headers) -> Optional[Tuple[int, int]]:
    """Returns attempts and first timestamp from the headers of a replayed input message."""
    last = headers[-_REPLAY_HEADERS:]
    if [name for name, _ in last] != [DEAD_ATTEMPTS, INPUT_TIMESTAMP]:
        return None
    attempts = _number(last, DEAD_ATTEMPTS)
    return (attempts, _number(last, INPUT_TIMESTAMP)) if attempts > 0 else None


def replayed_position(record: Record) -> Optional[RecordPosition]:
    """Returns the position of the dead letter in a marker; None for another message."""
    position = header(record.headers, REPLAYED)
    try:
        return None if position is None else parse_position(position.decode("ascii"))
    except ValueError:
        return None


def _added_from(headers: Headers) -> int:
    """Returns the index of the last reason, the runtime's first header; -1 if there is none."""
    indexes = [index for index, item in enumerate(headers) if item[0] == DEAD_REASON]
    return indexes[-1] if indexes else -1


def _size(record: Record) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def _key_text(key: Optional[bytes]) -> Optional[str]:
    if key is None:
        return None
    text = key[: 4 * _KEY_CHARACTERS + 4].decode("utf-8", "backslashreplace")
    return text if len(text) <= _KEY_CHARACTERS else text[:_KEY_CHARACTERS] + "…"


def _text(headers: Headers, name: str) -> str:
    return (header(headers, name) or b"").decode("utf-8", "replace")


def _number(headers: Headers, name: str) -> int:
    try:
        return int(_text(headers, name))
    except ValueError:
        return -1
