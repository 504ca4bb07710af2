"""From predictions to the bytes of replies."""

from __future__ import annotations

import functools
import hashlib
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import orjson

from seldon_kafka.codec.wire_format import ManyReplies, WireFormat
from seldon_kafka.errors import MESSAGE_LIMIT, words_of
from seldon_kafka.messages import Outcome, Payload, Prediction, Record, Rejection, Reply
from seldon_kafka.pipeline.stacking import Part
from seldon_kafka.pipeline.user_model import rows_of


def puid_of(record: Record, payload: Payload) -> Any:
    """The sender's `meta.puid`, else one made of where the record stands.

    It is the same each time that the record is answered, so that readers of `at_least_once`
    replies can tell a repetition.
    """
    return payload.meta.get("puid") or made_puid(record)


def sent_puid(payload: Payload) -> str:
    """The sender's `meta.puid` as text; empty if there is none."""
    sent = payload.meta.get("puid")
    return sent if isinstance(sent, str) else ""


def made_puid(record: Record) -> str:
    """An id of where and when the record was sent, that no other record has."""
    where = _digest(record.topic, record.partition)
    return f"{where}{max(0, record.timestamp_ms):011x}{record.offset:09x}"


@functools.lru_cache(maxsize=4096)
def _digest(topic: str, partition: int) -> str:
    return hashlib.blake2b(f"{topic}/{partition}".encode(), digest_size=6).hexdigest()


def replies(
    records: Sequence[Record], parts: List[Part], prediction: Prediction
) -> Iterator[Tuple[int, Outcome]]:
    """What becomes of each message of a stack, by its place in the batch.

    Args:
        records: the batch.
        parts: the stack.
        prediction: for the rows of all of its messages.
    """
    writers: Dict[str, Optional[ManyReplies]] = {}
    start = 0
    for part in parts:
        wire_format, payload, each = part.wire_format, part.payload, part.rows_each
        if wire_format.name not in writers:
            writers[wire_format.name] = _writer(wire_format, prediction)
        writer = writers[wire_format.name]
        sent = sent_puid(payload)
        values = None
        if writer is not None and (sent or not payload.meta.get("puid")):
            values = _written(writer, payload, start, each, _puid_texts(records, part, sent))
        if values is None:
            for number, index in enumerate(part.indexes):
                first = start + number * each
                own = rows_of(prediction, first, first + each)
                yield index, reply(records[index], payload, wire_format, own)
        else:
            for index, value in zip(part.indexes, values):
                yield index, Reply(records[index], value, wire_format.headers, sent)
        start += len(part.rows)


def _written(writer: ManyReplies, *what: Any) -> Optional[List[bytes]]:
    try:
        return writer.write(*what)
    except Exception:
        # Written one by one, it shows which of them can't be.
        return None


def _puid_texts(records: Sequence[Record], part: Part, sent: str) -> List[bytes]:
    """The `puid` of each message of the part, as it stands between quotes in JSON."""
    if sent:
        return [orjson.dumps(sent)[1:-1]] * len(part.indexes)
    return [made_puid(records[index]).encode("ascii") for index in part.indexes]


def _writer(wire_format: WireFormat, prediction: Prediction) -> Optional[ManyReplies]:
    try:
        return wire_format.writer(prediction)
    except Exception:
        return None


def reply(
    record: Record, payload: Payload, wire_format: WireFormat, prediction: Prediction
) -> Outcome:
    """What becomes of one message, of which the class answered this."""
    sent = sent_puid(payload)
    try:
        value = wire_format.encode(payload, prediction, puid_of(record, payload))
    except Exception as error:
        message = f"the answer can't be written as {wire_format.name}: {words_of(error)}"
        return Rejection(record, "bad_prediction", message[:MESSAGE_LIMIT], True, sent)
    return Reply(record, value, wire_format.headers, sent, prediction.reported)
