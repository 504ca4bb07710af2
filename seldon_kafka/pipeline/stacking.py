"""Rows of many messages, one after the other, so that the class is called once for all."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

import numpy as np
from numpy.typing import NDArray

from seldon_kafka.codec.wire_format import WireFormat
from seldon_kafka.messages import Payload


class Part(NamedTuple):
    """Messages that stand together in a stack: a single one, or a block of alike ones.

    Attributes:
        indexes: where in the batch they stand.
        payload: of the single one; of alike ones what they have in common, with all of their
            arrays or bytes as `data`.
        is_block: whether `payload` is that of alike ones.
        wire_format: of the replies.
        rows: theirs, the same number of each message.
        dtype: what the class gets the rows as.
    """

    indexes: List[int]
    payload: Payload
    is_block: bool
    wire_format: WireFormat
    rows: NDArray[Any]
    dtype: Any

    @property
    def rows_each(self) -> int:
        """How many rows each message has."""
        return len(self.rows) // len(self.indexes)

    @property
    def key(self) -> Any:
        """Parts of one key may be stacked.

        By the whole type of the rows: a narrower one beside a wider would be computed with as such.
        """
        return self.rows.shape[1:], self.dtype, self.payload.names

    def messages(self) -> Iterator[Tuple[int, Payload]]:
        """Each message's place and payload, as the class gets it."""
        return map(self.message, range(len(self.indexes)))

    def message(self, number: int) -> Tuple[int, Payload]:
        """One message's place and payload, as the class gets it."""
        payload = payload_of(self.payload, number) if self.is_block else self.payload
        return self.indexes[number], payload


def payload_of(block: Payload, number: int) -> Payload:
    """One message's payload out of that of alike ones, with the array of the type a class gets."""
    data = block.data[number]
    if isinstance(data, np.ndarray):
        data = np.asarray(data, dtype=block.dtype)
    return block._replace(data=data, dtype=None)


def merged(parts: List[Part]) -> List[Part]:
    """The parts, of one key, with blocks of bytes that may be answered together made one.

    Pictures differ in length, and so come in many small blocks.
    """
    found: Dict[Any, List[Part]] = {}
    for index, part in enumerate(parts):
        alike = part.is_block and isinstance(part.payload.data, list)
        key = (part.wire_format.name, part.rows_each) if alike else index
        found.setdefault(key, []).append(part)
    return [_as_one(alike) for alike in found.values()]


def _as_one(parts: List[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    return first._replace(
        indexes=[index for part in parts for index in part.indexes],
        payload=first.payload._replace(data=[each for part in parts for each in part.payload.data]),
        rows=np.concatenate([part.rows for part in parts]),
    )


def stacked(parts: List[Part]) -> NDArray[Any]:
    """The rows of all parts, of one key, one after the other, in memory that nothing else reads.

    A class may change what it gets, and the parts may have to be read again.
    """
    rows: NDArray[Any] = np.concatenate([part.rows for part in parts])
    return rows.astype(parts[0].dtype, copy=False)


def message_count(parts: List[Part]) -> int:
    """How many messages they hold."""
    return sum(len(part.indexes) for part in parts)


def halves(parts: List[Part]) -> Tuple[List[Part], List[Part]]:
    """The first half of the messages of these parts, and the others.

    Args:
        parts: of two messages or more.
    """
    return split(parts, message_count(parts) // 2)


def fitting(parts: List[Part], messages: int, rows: int) -> int:
    """Counts the first messages that may go into one call; one always may.

    Args:
        parts: the messages.
        messages: limit of messages.
        rows: limit of rows.
    """
    found = total = 0
    for part in parts:
        room = messages - found
        if part.rows_each:
            room = min(room, (rows - total) // part.rows_each)
        taken = min(room, len(part.indexes))
        found += max(0, taken)
        total += max(0, taken) * part.rows_each
        if taken < len(part.indexes):
            break
    return max(1, found)


def split(parts: List[Part], messages: int) -> Tuple[List[Part], List[Part]]:
    """The first messages of these parts, and the others.

    Args:
        parts: of one key.
        messages: how many the first ones are.
    """
    first: List[Part] = []
    for index, part in enumerate(parts):
        if messages >= len(part.indexes):
            first.append(part)
            messages -= len(part.indexes)
            continue
        if not messages:
            return first, parts[index:]
        rest = [_cut(part, messages, len(part.indexes)), *parts[index + 1 :]]
        return [*first, _cut(part, 0, messages)], rest
    return first, []


def _cut(part: Part, start: int, stop: int) -> Part:
    each = part.rows_each
    data = part.payload.data[start:stop] if part.is_block else part.payload.data
    return part._replace(
        indexes=part.indexes[start:stop],
        payload=part.payload._replace(data=data),
        rows=part.rows[start * each : stop * each],
    )
