"""Decodes the values of the records in a batch; values of one layout are decoded together."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from seldon_kafka.codec import (
    Decoded,
    array_field,
    binary,
    checked_value,
    decode,
    decode_raw,
    family_of,
)
from seldon_kafka.codec.layouts import Layout, Layouts, read
from seldon_kafka.codec.wire_format import WireFormat
from seldon_kafka.errors import MESSAGE_LIMIT, Rejected, describe_error
from seldon_kafka.messages import Payload, Record


class Block(NamedTuple):
    """Messages that differ only in the numbers of their array, or in bytes of equal length.

    Attributes:
        indexes: indexes of the messages in the batch.
        payload: common payload of the messages. Its `data` is a list with the bytes of each
            message; or the arrays of all messages as one array, uint8 (messages, *shape of one
            array).
        wire_format: wire format of the replies.
    """

    indexes: List[int]
    payload: Payload
    wire_format: WireFormat


Single = Tuple[int, Union[Decoded, Exception]]
"""Index of a message in the batch; and the decoded message, or the error in it."""


class BatchDecoder:
    """Decodes batches, and learns the layouts of messages that differ only in their numbers.

    Args:
        max_bytes: larger values are refused before they are parsed.
        keeps_requests: whether each payload keeps its parsed message, so that no messages are
            decoded together.
        raw: whether messages are decoded for raw methods of the user model.
    """

    def __init__(self, max_bytes: int, *, keeps_requests: bool, raw: bool = False) -> None:
        self._max_bytes = max_bytes
        self._keeps_requests = keeps_requests
        self._decode = decode_raw if raw else decode
        self._layouts = Layouts(array_field)

    def decode(self, records: Sequence[Record]) -> Tuple[List[Block], List[Single]]:
        """Decodes the values of records.

        Returns:
            The blocks, and the messages that are in no block. The error of a message that can't be
            decoded is returned in its place, and never raised.
        """
        singles: List[Single] = []
        alike: Dict[int, Tuple[Layout, List[int]]] = {}
        of_length: Dict[int, List[int]] = {}
        for index, record in enumerate(records):
            family = self._family_of(record)
            value = record.value or b""
            if family == "binary":
                of_length.setdefault(len(value), []).append(index)
                continue
            layout = self._layouts.find(value) if family == "json" else None
            if layout is None:
                singles.append((index, self._decode_one(record)))
            else:
                alike.setdefault(id(layout), (layout, []))[1].append(index)
        blocks = [_block_of_bytes(records, indexes) for indexes in of_length.values()]
        for layout, indexes in alike.values():
            arrays = read(layout, [_value(records[index]) for index in indexes])
            if arrays is None:
                singles.extend((index, self._decode_one(records[index])) for index in indexes)
            else:
                payload = layout.payload._replace(data=arrays)
                blocks.append(Block(indexes, payload, layout.wire_format))
        if self._keeps_requests:
            return blocks, singles
        of_bytes, others = _bytes_together(singles)
        return blocks + of_bytes, others

    def _family_of(self, record: Record) -> Optional[str]:
        """Returns the format family of a message that may be decoded with others, else None."""
        if self._keeps_requests:
            return None
        try:
            return family_of(record, checked_value(record, self._max_bytes))
        except Exception:
            # `_decode_one` finds the same error, and returns it.
            return None

    def _decode_one(self, record: Record) -> Union[Decoded, Exception]:
        try:
            decoded = self._decode(record, self._max_bytes)
        except Rejected as error:
            return error
        except Exception as error:
            # The decoder has a bug. The error counts as the sender's error, because errors of the
            # user model can stop consumption.
            return Rejected("undecodable", describe_error(error)[:MESSAGE_LIMIT])
        value = record.value
        if value is not None and value.startswith(b"{") and not self._keeps_requests:
            self._layouts.learn(value, *decoded)
        return decoded


def _block_of_bytes(records: Sequence[Record], indexes: List[int]) -> Block:
    """Returns the block of binary messages of equal length."""
    values = [_value(records[index]) for index in indexes]
    payload = binary.FORMAT.decode(values[0])._replace(data=values)
    return Block(indexes, payload, binary.FORMAT)


def _value(record: Record) -> bytes:
    assert record.value is not None
    return record.value


def _bytes_together(singles: List[Single]) -> Tuple[List[Block], List[Single]]:
    """Puts messages whose payload is bytes of equal length, without `meta`, into blocks.

    Returns:
        The blocks, and the remaining messages.
    """
    others: List[Single] = []
    alike: Dict[Tuple[int, str], Tuple[Decoded, List[int], List[bytes]]] = {}
    for index, found in singles:
        if isinstance(found, Exception) or not _is_bare_bytes(found.payload):
            others.append((index, found))
            continue
        key = len(found.payload.data), found.wire_format.name
        _, indexes, values = alike.setdefault(key, (found, [], []))
        indexes.append(index)
        values.append(found.payload.data)
    blocks = [
        Block(indexes, payload._replace(data=values, request=None), wire_format)
        for (payload, wire_format), indexes, values in alike.values()
    ]
    return blocks, others


def _is_bare_bytes(payload: Payload) -> bool:
    return type(payload.data) is bytes and not payload.meta
