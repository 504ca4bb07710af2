"""Selects dead letters, in the same way for every action."""

from __future__ import annotations

import dataclasses
import re
from typing import FrozenSet, Optional

from seldon_kafka.config.arguments import parse_iso
from seldon_kafka.dead_letters.letters import Envelope, RecordPosition

_AGO = re.compile(r"(\d+)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclasses.dataclass(frozen=True)
class Selection:
    """Conditions on dead letters; an empty condition is true for every dead letter.

    Attributes:
        positions: positions in the dead-letter topic.
        reasons: reason words.
        since_ms: earliest time of rejection, in milliseconds since 1970.
        until_ms: time before which the rejection lies, in milliseconds since 1970.
        keys: message keys as text.
        partitions: partition numbers of the input topic.
    """

    positions: FrozenSet[RecordPosition] = frozenset()
    reasons: FrozenSet[str] = frozenset()
    since_ms: Optional[int] = None
    until_ms: Optional[int] = None
    keys: FrozenSet[str] = frozenset()
    partitions: FrozenSet[int] = frozenset()

    @property
    def is_everything(self) -> bool:
        """Whether all conditions are empty."""
        return self == Selection()

    def selects(self, letter: Envelope) -> bool:
        """Returns whether a dead letter meets every condition."""
        return (
            (not self.positions or letter.at in self.positions)
            and (not self.reasons or letter.reason in self.reasons)
            and (self.since_ms is None or letter.rejected_ms >= self.since_ms)
            and (self.until_ms is None or letter.rejected_ms < self.until_ms)
            and (not self.keys or letter.key in self.keys)
            and (not self.partitions or letter.source[1] in self.partitions)
        )


def parse_time(text: str, now_ms: int) -> int:
    """Converts a time to milliseconds since 1970.

    Args:
        text: a duration before now (`90s`, `15m`, `2h`, `7d`, `1w`), or an ISO date or time. An
            ISO time without a zone is local time.
        now_ms: current time, in milliseconds since 1970.

    Raises:
        ValueError: the text has neither form.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return now_ms - int(ago[1]) * _SECONDS[ago[2]] * 1000
    try:
        return int(parse_iso(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not a time such as 2h, 7d, 2024-05-31 or 2024-05-31T12:30"
        ) from None
