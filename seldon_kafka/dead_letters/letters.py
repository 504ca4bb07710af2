"""A message of the dead-letter topic, read back: what it was and why it is there."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any, Dict, NamedTuple, Optional, Tuple

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
    Record,
    header,
)

REPLAYED = "kafka-dead-replayed"
"""Header of the marker that says that a letter was replayed: its `partition:offset`."""

_KEY_CHARACTERS = 200
_ERROR_HEADERS = {
    "status": DEAD_STATUS_CODE,
    "error": DEAD_ERROR_REASON,
    "app code": DEAD_APP_CODE,
    "body": DEAD_ERROR,
}


class Place(NamedTuple):
    """Where a letter stands in the dead-letter topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


def parse_place(text: str) -> Place:
    """The place that `PARTITION:OFFSET` names.

    Raises:
        ValueError: it names none.
    """
    partition, _, offset = text.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise ValueError(f"{text!r} is not PARTITION:OFFSET")
    return Place(int(partition), int(offset))


@dataclasses.dataclass(frozen=True)
class Envelope:
    """What is known of a letter without opening it: small, whatever the message's size.

    Attributes:
        at: where it stands in the dead-letter topic.
        rejected_ms: when it was rejected.
        reason: stable word.
        message: what was wrong.
        key: the key as text, or None; a long one is cut.
        source: topic, partition and offset that it was read from.
        sent_ms: when it was first sent, or -1.
        worker: who rejected it.
        attempts: how often it had been replayed when it was rejected.
        size: bytes of the whole message.
        cut_from: bytes of the original value, if it was cut to fit.
    """

    at: Place
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
    def place(self) -> str:
        """Where it stands in the dead-letter topic: `partition:offset`."""
        return str(self.at)

    def as_dict(self) -> Dict[str, Any]:
        """The letter for `--json`; the value is left out."""
        topic, partition, offset = self.source
        return {
            "place": self.place,
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
    """A dead letter with all that is in it.

    Attributes:
        record: the message as it stands in the dead-letter topic.
    """

    record: Record

    def original(self) -> Record:
        """The message as it was first sent, without what the runtime added."""
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
        """Returns the parts of the class's exception that came along, by name."""
        added = self.record.headers[_added_from(self.record.headers) :]
        found = {word: _text(added, name) for word, name in _ERROR_HEADERS.items()}
        return {word: text for word, text in found.items() if text}


def read_envelope(record: Record) -> Optional[Envelope]:
    """What a message of the dead-letter topic says of itself; None if it is no letter of ours."""
    added = _added_from(record.headers)
    if added < 0:
        return None
    # What the sender wrote under the same names is the sender's.
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
        at=Place(record.partition, record.offset),
        rejected_ms=record.timestamp_ms,
        # Thousands of letters often have these in common.
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
    """The letter in a message of the dead-letter topic; None if it is none of ours."""
    envelope = read_envelope(record)
    return None if envelope is None else Letter(**vars(envelope), record=record)


def replay_headers(attempts: int, sent_ms: int) -> Headers:
    """What a replayed message has behind its sender's headers.

    Args:
        attempts: how often it has been replayed, this time included.
        sent_ms: when it was first sent; its own timestamp is the time of the replay.
    """
    return ((DEAD_ATTEMPTS, b"%d" % attempts), (INPUT_TIMESTAMP, b"%d" % sent_ms))


_REPLAY_HEADERS = len(replay_headers(1, 0))


def _earlier_replay(headers: Headers) -> Optional[Tuple[int, int]]:
    """Attempts and first timestamp, if these headers of an input message are of a replayed one."""
    last = headers[-_REPLAY_HEADERS:]
    if [name for name, _ in last] != [DEAD_ATTEMPTS, INPUT_TIMESTAMP]:
        return None
    attempts = _number(last, DEAD_ATTEMPTS)
    return (attempts, _number(last, INPUT_TIMESTAMP)) if attempts > 0 else None


def replayed_place(record: Record) -> Optional[Place]:
    """The place of the letter that this marker says was replayed; None if it is no marker."""
    place = header(record.headers, REPLAYED)
    try:
        return None if place is None else parse_place(place.decode("ascii"))
    except ValueError:
        return None


def _added_from(headers: Headers) -> int:
    """Where our own headers begin: at the last reason; -1 if there is none."""
    places = [place for place, item in enumerate(headers) if item[0] == DEAD_REASON]
    return places[-1] if places else -1


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
