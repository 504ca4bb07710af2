"""Turns predictions into the bytes of replies."""

from __future__ import annotations

import functools
import hashlib
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import orjson

from seldon_kafka.codec.wire_format import ManyReplies, WireFormat
from seldon_kafka.errors import MESSAGE_LIMIT, describe_error
from seldon_kafka.messages import Json, Outcome, Payload, Prediction, Record, Rejection, Reply
from seldon_kafka.pipeline.stacking import Part, rows_of


def puid_of(record: Record, payload: Payload) -> Json:
    """Returns the sender's `meta.puid`, or else an id from the record's position and timestamp.

    The id is the same at each try, so that readers of `at_least_once` replies recognise duplicates.
    """
    return payload.meta.get("puid") or made_puid(record)


def sent_puid(payload: Payload) -> str:
    """Returns the sender's `meta.puid`; empty if there is none, or if it is not a text."""
    sent = payload.meta.get("puid")
    return sent if isinstance(sent, str) else ""


def made_puid(record: Record) -> str:
    """Returns a unique id from the record's position and timestamp."""
    digest = _digest(record.topic, record.partition)
    return f"{digest}{max(0, record.timestamp_ms):011x}{record.offset:09x}"


@functools.lru_cache(maxsize=4096)
def _digest(topic: str, partition: int) -> str:
    return hashlib.blake2b(f"{topic}/{partition}".encode(), digest_size=6).hexdigest()


def replies(
    records: Sequence[Record], parts: List[Part], prediction: Prediction
) -> Iterator[Tuple[int, Outcome]]:
    """Yields the outcome of each message of a stack, with its index in the batch.

    Args:
        records: records of the batch.
        parts: parts of the stack.
        prediction: the prediction for all rows of the stack.
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
                own_rows = rows_of(prediction, first, first + each)
                yield index, reply(records[index], payload, wire_format, own_rows)
        else:
            for index, value in zip(part.indexes, values):
                yield index, Reply(records[index], value, wire_format.headers, sent)
        start += len(part.rows)


def _written(writer: ManyReplies, *args: Json) -> Optional[List[bytes]]:
    try:
        return writer.write(*args)
    except Exception:
        # The caller then encodes the replies one by one, which shows the one that can't be encoded.
        return None


def _puid_texts(records: Sequence[Record], part: Part, sent: str) -> List[bytes]:
    """Returns the `puid` of each message of the part, escaped for JSON, without quotes."""
    if sent:
        return [orjson.dumps(sent)[1:-1]] * len(part.indexes)
    return [made_puid(records[index]).encode("ascii") for index in part.indexes]


def _writer(wire_format: WireFormat, prediction: Prediction) -> Optional[ManyReplies]:
    if prediction.reported:
        return None  # the metrics belong to one reply, and a writer has no place for them
    try:
        return wire_format.writer(prediction)
    except Exception:
        return None


def reply(
    record: Record, payload: Payload, wire_format: WireFormat, prediction: Prediction
) -> Outcome:
    """Returns the reply to one message; a rejection if the prediction can't be encoded."""
    sent = sent_puid(payload)
    try:
        value = wire_format.encode(payload, prediction, puid_of(record, payload))
    except Exception as error:
        message = f"the answer can't be written as {wire_format.name}: {describe_error(error)}"
        return Rejection(record, "bad_prediction", message[:MESSAGE_LIMIT], True, sent)
    return Reply(record, value, wire_format.headers, sent, prediction.reported)
