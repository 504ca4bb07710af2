"""Writes the Seldon JSON replies to many messages that were answered in one call.

What `codec.seldon_json.encode` writes for each, at a fifth of the time: rows and tags of all
messages become text in one go, and each reply is put together of pieces of it.
"""

from __future__ import annotations

from itertools import repeat
from typing import Any, Iterable, List, Optional, Sequence, Tuple

import numpy as np
import orjson

from seldon_kafka.codec.json_text import dump_json
from seldon_kafka.messages import Payload, Prediction

# Seldon answers numbers in the form they came in, as a tensor when they came as none of its arrays
# (seldon_core.utils.construct_response_json).
AS_TENSOR = ("tensor", "binData", "strData", "jsonData")
_NUMBERS = frozenset((int, float, bool))


class ReplyWriter:
    """The replies to messages whose rows make up one prediction.

    Args:
        prediction: for the rows of all messages: numbers in two dimensions, no metrics.
    """

    def __init__(self, prediction: Prediction) -> None:
        rows = np.ascontiguousarray(prediction.data)
        self._columns = rows.shape[1]
        self._rows = dump_json(rows)[2:-2].split(b"],[")
        names = None if prediction.names is None else list(prediction.names)
        self._names = b'{"data":{"names":' + dump_json(names)
        # By turns: text that is the same in all replies, and pieces of which each has its own.
        self._tags: List[Tuple[bytes, Optional[List[bytes]]]] = []
        text = b'","tags":{'
        for name, entries in prediction.tags.items():
            text += orjson.dumps(name) + b":"
            if name in prediction.row_tags:
                self._tags.append((text + b"[", _pieces(entries)))
                text = b"],"
            else:
                text += dump_json(entries) + b","
        self._tags.append((text[:-1] + b"}}}" if prediction.tags else b'"}}', None))

    def write(
        self, payload: Payload, start: int, each: int, puids: Sequence[bytes]
    ) -> Optional[List[bytes]]:
        """As `ManyReplies` says; None without rows, or where the sender's `meta` has to go in."""
        if not each or payload.kind == "tftensor" or not payload.meta.keys() <= {"puid"}:
            return None
        stop = start + each * len(puids)
        if payload.kind not in AS_TENSOR:
            before, between, behind = b',"ndarray":[[', b"],[", b']]},"meta":{"puid":"'
        else:
            before = b',"tensor":{"shape":[%d,%d],"values":[' % (each, self._columns)
            between, behind = b",", b']}},"meta":{"puid":"'
        rows = _joined(self._rows[start:stop], each, between)
        columns: List[Iterable[bytes]] = [repeat(self._names + before), rows, repeat(behind), puids]
        for text, pieces in self._tags:
            columns.append(repeat(text))
            if pieces is not None:
                columns.append(_joined(pieces[start:stop], each, b","))
        return list(map(b"".join, zip(*columns)))


def _joined(pieces: List[bytes], each: int, between: bytes) -> List[bytes]:
    """The pieces of each message's rows as one."""
    if each == 1:
        return pieces
    return [between.join(pieces[index : index + each]) for index in range(0, len(pieces), each)]


def reply_writer(prediction: Prediction) -> Optional[ReplyWriter]:
    """A writer of these replies; None if they are of a kind that is written one by one."""
    rows = prediction.data
    if (
        prediction.raw
        or prediction.metrics
        or prediction.request_path
        or not isinstance(rows, np.ndarray)
        or rows.ndim != 2
        or isinstance(rows, np.ma.MaskedArray)
        or not rows.size
        or isinstance(prediction.names, str)
        or rows.dtype.kind not in "fiu"
        or not all(isinstance(name, str) for name in prediction.tags)
    ):
        return None
    return ReplyWriter(prediction)


def _pieces(entries: Any) -> List[bytes]:
    """The JSON text of each entry."""
    entries = entries.tolist() if isinstance(entries, np.ndarray) else list(entries)
    if _NUMBERS.issuperset(map(type, entries)):
        return dump_json(entries)[1:-1].split(b",")
    return [dump_json(entry) for entry in entries]
