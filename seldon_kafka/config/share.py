"""The share of all messages that one of several deployments answers.

The key and the timestamp of a message decide whether the message is in a share. If the shares of
all deployments add up to 100 percent, each message is answered once, also while shares change.
"""

from __future__ import annotations

import datetime
import zlib
from typing import NamedTuple, Tuple

from seldon_kafka.config.arguments import parse_iso
from seldon_kafka.config.environment import SettingsError
from seldon_kafka.messages import Record

_WHOLE = 100.0
_HASHES = 2.0**32
_EXAMPLE = "0-100,2027-01-31T10:00:00Z=0-90"


class Range(NamedTuple):
    """A range of hashes of keys, in percent of all hashes.

    The hash is CRC-32 of the key, or of partition and offset for a message without a key. Producers
    choose a partition by another hash, so each partition has a part of every range.

    Attributes:
        first: start of the range, in percent.
        last: end of the range, in percent, not included.
    """

    first: float = 0.0
    last: float = _WHOLE

    def has(self, record: Record) -> bool:
        """Returns whether the hash of a record is in the range."""
        key = record.key
        if key is None:
            key = b"%d:%d" % (record.partition, record.offset)
        return self.first <= zlib.crc32(key) * _WHOLE / _HASHES < self.last

    def __str__(self) -> str:
        return f"{self.first:g}-{self.last:g}"


class Share(NamedTuple):
    """The messages that a consumer group answers.

    Attributes:
        first: range of messages that are older than all changes.
        changes: pairs of a time, in milliseconds since 1970, and a range, in order of time. The
            range applies to messages with this timestamp or a later one, until the next time.
    """

    first: Range = Range()
    changes: Tuple[Tuple[float, Range], ...] = ()

    def has(self, record: Record) -> bool:
        """Returns whether a record is in the share."""
        if self.is_whole:
            return True
        found = self.first
        for since_ms, changed in self.changes:
            if record.timestamp_ms >= since_ms:
                found = changed
        return found.has(record)

    @property
    def is_whole(self) -> bool:
        """Whether every message is in the share, at all times."""
        return self == _ALL

    def __str__(self) -> str:
        changes = [f",{_iso(since_ms)}={changed}" for since_ms, changed in self.changes]
        return str(self.first) + "".join(changes)


_ALL = Share()


def share(variable: str, value: str) -> Share:
    """Parses the setting: `0-90` or `0-100,2027-01-31T10:00:00Z=0-90`; `0-0` is an empty share.

    Raises:
        SettingsError: a range is invalid, a time has no zone, or the times do not ascend.
    """
    first, *changes = value.split(",")
    found = Share(_range(variable, first), tuple(_change(variable, each) for each in changes))
    times = [since_ms for since_ms, _ in found.changes]
    if times != sorted(set(times)):
        raise SettingsError(f"{variable}={value!r}: the times must ascend")
    return found


def _range(variable: str, text: str) -> Range:
    first, dash, last = text.strip().partition("-")
    try:
        found = Range(float(first), float(last)) if dash else None
    except ValueError:
        found = None
    if found is None or not 0.0 <= found.first <= found.last <= _WHOLE:
        raise SettingsError(
            f"{variable}: {text.strip()!r} is not a range in percent; an example is {_EXAMPLE}"
        )
    return found


def _change(variable: str, text: str) -> Tuple[float, Range]:
    time, equals, changed = text.strip().partition("=")
    try:
        since = parse_iso(time)
    except ValueError:
        since = None
    if since is None or since.tzinfo is None or not equals:
        raise SettingsError(
            f"{variable}: {text.strip()!r} is not a time with a range; an example is {_EXAMPLE}"
        )
    return since.timestamp() * 1000, _range(variable, changed)


def _iso(since_ms: float) -> str:
    since = datetime.datetime.fromtimestamp(since_ms / 1000, datetime.timezone.utc)
    return since.isoformat().replace("+00:00", "Z")
