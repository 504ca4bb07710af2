"""A message of the dead-letter topic, read back: what it was and why it is there."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Optional, Tuple

from kafka.messages import Headers, Record, header
from kafka.replies import (
    DEAD_CUT,
    DEAD_MESSAGE,
    DEAD_REASON,
    INPUT_OFFSET,
    INPUT_PARTITION,
    INPUT_TIMESTAMP,
    INPUT_TOPIC,
    WORKER,
)

REPLAYED = "kafka-dead-replayed"
"""Header of the marker that says that a letter was replayed: its `partition:offset`."""


@dataclasses.dataclass(frozen=True)
class Letter:
    """A dead letter.

    Attributes:
        record: the message as it stands in the dead-letter topic.
        reason: stable word.
        message: what was wrong.
        source: topic, partition and offset that it was read from.
        sent_ms: the input's timestamp, or -1.
        worker: who rejected it.
        cut_from: bytes of the original value, if it was cut to fit.
    """

    record: Record
    reason: str
    message: str
    source: Tuple[str, int, int]
    sent_ms: int
    worker: str
    cut_from: Optional[int]

    @property
    def place(self) -> str:
        """Where it stands in the dead-letter topic: `partition:offset`."""
        return f"{self.record.partition}:{self.record.offset}"

    def original(self) -> Record:
        """The message as it was sent, without what the runtime added."""
        headers = self.record.headers
        added = _added_from(headers)
        topic, partition, offset = self.source
        return Record(
            topic,
            partition,
            offset,
            self.sent_ms,
            self.record.key,
            self.record.value,
            tuple(headers[: max(added, 0)]),
        )

    def as_dict(self) -> Dict[str, Any]:
        """The letter for `--json`; the value is left out."""
        topic, partition, offset = self.source
        return {
            "place": self.place,
            "reason": self.reason,
            "message": self.message,
            "input": {"topic": topic, "partition": partition, "offset": offset},
            "rejected_ms": self.record.timestamp_ms,
            "sent_ms": self.sent_ms,
            "worker": self.worker,
            "bytes": len(self.record.value or b""),
            "cut_from": self.cut_from,
        }


def read_letter(record: Record) -> Optional[Letter]:
    """The letter in a message of the dead-letter topic; None if it is none of ours."""
    added = _added_from(record.headers)
    if added < 0:
        return None
    # What the sender wrote under the same names is the sender's.
    record_of_ours = record._replace(headers=record.headers[added:])
    cut_from = _number(record_of_ours, DEAD_CUT)
    return Letter(
        record=record,
        reason=_text(record_of_ours, DEAD_REASON),
        message=_text(record_of_ours, DEAD_MESSAGE),
        source=(
            _text(record_of_ours, INPUT_TOPIC),
            _number(record_of_ours, INPUT_PARTITION),
            _number(record_of_ours, INPUT_OFFSET),
        ),
        sent_ms=_number(record_of_ours, INPUT_TIMESTAMP),
        worker=_text(record_of_ours, WORKER),
        cut_from=cut_from if cut_from >= 0 else None,
    )


def _added_from(headers: Headers) -> int:
    """Where our own headers begin: at the last reason; -1 if there is none."""
    places = [place for place, item in enumerate(headers) if item[0] == DEAD_REASON]
    return places[-1] if places else -1


def replayed_place(record: Record) -> Optional[str]:
    """The place of the letter that this marker says was replayed; None if it is no marker."""
    place = header(record.headers, REPLAYED)
    return place.decode("utf-8", "replace") if place is not None else None


def _text(record: Record, name: str) -> str:
    return (header(record.headers, name) or b"").decode("utf-8", "replace")


def _number(record: Record, name: str) -> int:
    try:
        return int(_text(record, name))
    except ValueError:
        return -1


def unread(letters: List[Letter], replayed: List[str]) -> List[Letter]:
    """The letters that were not replayed yet."""
    done = set(replayed)
    return [letter for letter in letters if letter.place not in done]
