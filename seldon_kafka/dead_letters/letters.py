"""Parses messages of the dead-letter topic: the original message, and why it was rejected."""

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
"""Header of a marker; its value is the `partition:offset` of the replayed dead letter."""

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
        ValueError: the text is not of this form.
    """
    partition, _, offset = text.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise ValueError(f"{text!r} is not PARTITION:OFFSET")
    return RecordPosition(int(partition), int(offset))


@dataclasses.dataclass(frozen=True)
class Envelope:
    """A dead letter without its value and headers, so it is small even if these are large.

    Attributes:
        at: position in the dead-letter topic.
        rejected_ms: time of the rejection, in milliseconds since 1970.
        reason: the stable reason word.
        message: the text of the reason.
        key: the key as text, or None for a message without a key; a long key is cut.
        source: topic, partition and offset of the original message.
        sent_ms: time when the message was first sent, in milliseconds since 1970; -1 if unknown.
        worker: name of the worker that rejected the message.
        attempts: number of replays before this rejection.
        size: size of the dead letter (key, value and headers), in bytes.
        cut_from: size of the original value, in bytes, if the value was cut; otherwise None.
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
        """Position in the dead-letter topic, as `partition:offset`."""
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
        record: the message in the dead-letter topic.
    """

    record: Record

    def original(self) -> Record:
        """Returns the original message, without the headers that a rejection or a replay added.

        Its timestamp is the time when the message was first sent.
        """
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
            tuple(theirs if earlier is None else theirs[:-_REPLAY_HEADER_COUNT]),
        )

    def error(self) -> Dict[str, str]:
        """Returns the details of the user model's exception, by name; empty ones are left out."""
        added = self.record.headers[_added_from(self.record.headers) :]
        found = {word: _text(added, name) for word, name in _ERROR_HEADERS.items()}
        return {word: text for word, text in found.items() if text}


def read_envelope(record: Record) -> Optional[Envelope]:
    """Parses a dead letter without its value; returns None for any other message."""
    added = _added_from(record.headers)
    if added < 0:
        return None
    # The sender may have set headers of the same names. They precede the header with the reason.
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
        # Thousands of dead letters often have the same texts, so interning saves memory.
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
    """Parses a dead letter with its value; returns None for any other message."""
    envelope = read_envelope(record)
    return None if envelope is None else Letter(**vars(envelope), record=record)


def replay_headers(attempts: int, sent_ms: int) -> Headers:
    """Returns the headers that follow the sender's headers in a replayed message.

    Args:
        attempts: number of replays, including this one.
        sent_ms: time when the message was first sent, in milliseconds since 1970. The timestamp of
            the replayed message is the time of the replay.
    """
    return ((DEAD_ATTEMPTS, b"%d" % attempts), (INPUT_TIMESTAMP, b"%d" % sent_ms))


_REPLAY_HEADER_COUNT = len(replay_headers(1, 0))


def _earlier_replay(headers: Headers) -> Optional[Tuple[int, int]]:
    """Returns the number of replays and the time of the first sending, from a replay's headers.

    Returns None if the last headers are not those of a replay.

    Args:
        headers: headers of the message in the input topic.
    """
    last = headers[-_REPLAY_HEADER_COUNT:]
    if [name for name, _ in last] != [DEAD_ATTEMPTS, INPUT_TIMESTAMP]:
        return None
    attempts = _number(last, DEAD_ATTEMPTS)
    return (attempts, _number(last, INPUT_TIMESTAMP)) if attempts > 0 else None


def replayed_position(record: Record) -> Optional[RecordPosition]:
    """Returns the position of the replayed dead letter from a marker; None for other messages."""
    position = header(record.headers, REPLAYED)
    try:
        return None if position is None else parse_position(position.decode("ascii"))
    except ValueError:
        return None


def _added_from(headers: Headers) -> int:
    """Returns the index of the first header that the rejection added; -1 if there is none.

    This header has the reason. The sender may have set headers of the same name before it.
    """
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
