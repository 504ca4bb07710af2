"""Encodes the Seldon JSON replies to many messages of one call.

The replies are those of `codec.seldon_json.encode`, in a fifth of the time: rows and tags of all
messages become text at once, and each reply is joined from pieces of it.
"""

from __future__ import annotations

from itertools import repeat
from typing import Iterable, List, Optional, Sequence, Tuple

import numpy as np
import orjson

from seldon_kafka.codec.json_text import dump_json
from seldon_kafka.messages import Json, Payload, Prediction

# Seldon's reply has the request's form, and a tensor if the request had no array
# (seldon_core.utils.construct_response_json).
AS_TENSOR = ("tensor", "binData", "strData", "jsonData")
_NUMBERS = frozenset((int, float, bool))


class ReplyWriter:
    """Encodes the replies to messages whose rows are in one prediction.

    Args:
        prediction: the prediction for the rows of all messages: numbers in two dimensions, without
            metrics.
    """

    def __init__(self, prediction: Prediction) -> None:
        rows = np.ascontiguousarray(prediction.data)
        self._columns = rows.shape[1]
        self._rows = dump_json(rows)[2:-2].split(b"],[")
        names = None if prediction.names is None else list(prediction.names)
        self._names = b'{"data":{"names":' + dump_json(names)
        # In turn: text that all replies share, and pieces of each reply.
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
        """Returns replies; None without rows, or if the reply needs the sender's meta."""
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
    """Joins the pieces of the rows of each message."""
    if each == 1:
        return pieces
    return [between.join(pieces[index : index + each]) for index in range(0, len(pieces), each)]


def reply_writer(prediction: Prediction) -> Optional[ReplyWriter]:
    """Returns a writer for these replies; None if they must be encoded one by one."""
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


def _pieces(entries: Json) -> List[bytes]:
    """Returns the JSON text of each entry."""
    entries = entries.tolist() if isinstance(entries, np.ndarray) else list(entries)
    if _NUMBERS.issuperset(map(type, entries)):
        return dump_json(entries)[1:-1].split(b",")
    return [dump_json(entry) for entry in entries]
