"""Stacks: the rows of many messages in one array, for one call of the user model."""

from __future__ import annotations

from typing import Dict, Hashable, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from seldon_kafka.codec.wire_format import WireFormat
from seldon_kafka.errors import BadPrediction
from seldon_kafka.messages import Array, DType, Json, Payload, Prediction

RowLayout = Tuple[Tuple[int, ...], DType, Json]
"""The shape and the type of a row, and the feature names."""


class Part(NamedTuple):
    """A part of a stack: one message, or a block of messages that were decoded together.

    Attributes:
        indexes: indexes of the messages in the batch.
        payload: the payload of the one message; or the common payload of the block, with the arrays
            or bytes of all messages as `data`.
        is_block: whether the part is a block.
        wire_format: the format of the replies.
        rows: rows of all messages of the part, the same number for each message.
        dtype: the type to which the rows are converted for the user model.
    """

    indexes: List[int]
    payload: Payload
    is_block: bool
    wire_format: WireFormat
    rows: Array
    dtype: DType

    @property
    def rows_each(self) -> int:
        """The number of rows of each message."""
        return len(self.rows) // len(self.indexes)

    @property
    def key(self) -> RowLayout:
        """The layout of the rows; parts with an equal key may be stacked.

        The type is a part of the key, because numpy would convert stacked rows to one common type.
        """
        return self.rows.shape[1:], self.dtype, self.payload.names

    def messages(self) -> Iterator[Tuple[int, Payload]]:
        """Yields each message's index in the batch, and its payload as the user model gets it."""
        return map(self.message, range(len(self.indexes)))

    def message(self, number: int) -> Tuple[int, Payload]:
        """Returns a message's index in the batch, and its payload as the user model gets it.

        Args:
            number: index of the message in the part.
        """
        payload = payload_of(self.payload, number) if self.is_block else self.payload
        return self.indexes[number], payload


def payload_of(block: Payload, number: int) -> Payload:
    """Returns the payload of one message of a block, with the type that the user model gets."""
    data = block.data[number]
    if isinstance(data, np.ndarray):
        data = np.asarray(data, dtype=block.dtype)
    return block._replace(data=data, dtype=None)


def merged(parts: List[Part]) -> List[Part]:
    """Merges the blocks of bytes that have the same wire format and the same number of rows each.

    The decoder puts bytes of different lengths, such as pictures, into different blocks.

    Args:
        parts: parts with an equal key.
    """
    groups: Dict[Hashable, List[Part]] = {}
    for index, part in enumerate(parts):
        is_bytes = part.is_block and isinstance(part.payload.data, list)
        key: Hashable = (part.wire_format.name, part.rows_each) if is_bytes else index
        groups.setdefault(key, []).append(part)
    return [_as_one(group) for group in groups.values()]


def _as_one(parts: List[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    return first._replace(
        indexes=[index for part in parts for index in part.indexes],
        payload=first.payload._replace(data=[each for part in parts for each in part.payload.data]),
        rows=np.concatenate([part.rows for part in parts]),
    )


def stacked(parts: List[Part]) -> Array:
    """Returns a copy of the rows of all parts.

    The rows are copied because a user model may change its input, and the parts may be stacked
    again.

    Args:
        parts: parts with an equal key.
    """
    rows: Array = np.concatenate([part.rows for part in parts])
    converted: Array = rows.astype(parts[0].dtype, copy=False)
    return converted


def message_count(parts: List[Part]) -> int:
    """Returns the number of messages in the parts."""
    return sum(len(part.indexes) for part in parts)


def halves(parts: List[Part]) -> Tuple[List[Part], List[Part]]:
    """Returns the first half of the messages, and the second half.

    Args:
        parts: parts with two messages or more.
    """
    return split(parts, message_count(parts) // 2)


def fitting(parts: List[Part], messages: int, rows: int) -> int:
    """Returns how many of the first messages fit into one call; at least one.

    Args:
        parts: parts with the messages, in their order.
        messages: limit of the number of messages.
        rows: limit of the number of rows.
    """
    message_total = row_total = 0
    for part in parts:
        room = messages - message_total
        if part.rows_each:
            room = min(room, (rows - row_total) // part.rows_each)
        taken = min(room, len(part.indexes))
        message_total += max(0, taken)
        row_total += max(0, taken) * part.rows_each
        if taken < len(part.indexes):
            break
    return max(1, message_total)


def split(parts: List[Part], messages: int) -> Tuple[List[Part], List[Part]]:
    """Returns the first messages of the parts, and the rest.

    Args:
        parts: parts with an equal key.
        messages: number of messages in the first of the two lists.
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


def check_rows(prediction: Prediction, total: int) -> None:
    """Checks that a prediction has one answer for each row.

    Args:
        prediction: the prediction.
        total: number of rows in the call.

    Raises:
        BadPrediction: the number of rows in the answer, or of entries in a row tag, is not `total`.
    """
    if _count(prediction.data) != total:
        raise BadPrediction("the number of rows differs")
    for name in prediction.row_tags:
        if name in prediction.tags:
            count = _count(prediction.tags[name])
            if count != total:
                found = "no" if count is None else count
                raise BadPrediction(f"tag {name!r} has {found} entries for {total} rows")


def _count(entries: Json) -> Optional[int]:
    """Returns the number of entries; None if the value is not an array, a list or a tuple."""
    if isinstance(entries, np.ndarray):
        return len(entries) if entries.ndim else None
    return len(entries) if isinstance(entries, (list, tuple)) else None


def rows_of(prediction: Prediction, start: int, stop: int) -> Prediction:
    """Returns the prediction for the rows from `start` up to `stop`, with their row tags."""
    if start == 0 and stop == len(prediction.data):
        return prediction
    tags = {
        name: entries[start:stop] if name in prediction.row_tags else entries
        for name, entries in prediction.tags.items()
    }
    return prediction._replace(data=prediction.data[start:stop], tags=tags)
