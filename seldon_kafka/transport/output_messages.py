"""Composes replies and dead letters: headers, partitions and sizes."""

from __future__ import annotations

import functools
import time
from typing import List, NamedTuple, Optional, Tuple

from seldon_kafka.messages import (
    DEAD_APP_CODE,
    DEAD_CUT,
    DEAD_ERROR,
    DEAD_ERROR_REASON,
    DEAD_MESSAGE,
    DEAD_NO_KEY,
    DEAD_REASON,
    INPUT_OFFSET,
    INPUT_PARTITION,
    INPUT_TIMESTAMP,
    INPUT_TOPIC,
    WORKER,
    Headers,
    Outcome,
    Record,
    Rejection,
    Reply,
)

# Headers that describe the value of a message. A reply has those of its input record under the name
# `kafka-input-…`.
_DESCRIBING = ("content-type", "proto-name")
# The header of a record batch (61 bytes) and the framing of one record, in bytes, rounded up
# (https://kafka.apache.org/documentation/#recordbatch).
_BATCH_OVERHEAD = 128
# The framing of one header, rounded up.
_HEADER_OVERHEAD = 10


class OutputMessage(NamedTuple):
    """A message to send, and its input record."""

    topic: str
    partition: int
    timestamp_ms: int
    key: Optional[bytes]
    value: Optional[bytes]
    headers: List[Tuple[str, Optional[bytes]]]
    record: Record


class TopicLimits(NamedTuple):
    """The limits of an output topic.

    Attributes:
        topic: name of the topic.
        partitions: number of partitions.
        max_bytes: size of the largest message, in bytes, framing included.
        is_compacted: whether the topic is compacted, so that every message needs a key.
    """

    topic: str
    partitions: int
    max_bytes: int
    is_compacted: bool = False


def compose_reply(reply: Reply, limits: TopicLimits, worker: str) -> OutputMessage:
    """Returns the reply message.

    It has the key, timestamp and headers of the record, the value and headers of the reply, and
    headers with the worker and the position of the record.
    """
    record = reply.record
    headers: List[Tuple[str, Optional[bytes]]] = []
    for name, value in record.headers:
        is_describing = name.lower() in _DESCRIBING
        headers.append((f"kafka-input-{name.lower()}" if is_describing else name, value))
    headers.extend(reply.headers)
    headers.extend(_origin_headers(record, worker))
    return OutputMessage(
        limits.topic,
        record.partition % limits.partitions,
        record.timestamp_ms,
        record.key,
        reply.value,
        headers,
        record,
    )


def compose_dead_letter(rejection: Rejection, limits: TopicLimits, worker: str) -> OutputMessage:
    """Returns the dead letter: key, value and headers of the record, and headers with the reason.

    The timestamp of the dead letter is the time of the rejection. On a compacted topic, a missing
    key is replaced by the record's position. A dead letter that is too large for its topic is cut,
    and its header `kafka-dead-cut` has the length of the record's value, in bytes.
    """
    record = rejection.record
    headers: List[Tuple[str, Optional[bytes]]] = list(record.headers)
    headers.append((DEAD_REASON, rejection.reason.encode("utf-8")))
    headers.append((DEAD_MESSAGE, rejection.message.encode("utf-8", "replace")))
    headers.extend(rejection.headers)
    headers.append((INPUT_TIMESTAMP, b"%d" % record.timestamp_ms))
    headers.extend(_origin_headers(record, worker))
    key = record.key
    if key is None and limits.is_compacted:
        # Each dead letter gets a key of its own, so that compaction keeps all of them.
        key = _position_key(record)
        headers.append((DEAD_NO_KEY, b"1"))
    now_ms = int(time.time() * 1000)
    letter = OutputMessage(
        limits.topic,
        record.partition % limits.partitions,
        now_ms,
        key,
        record.value,
        headers,
        record,
    )
    return _cut(letter, limits)


def _position_key(record: Record) -> bytes:
    return f"{record.topic}/{record.partition}/{record.offset}".encode()


def _origin_headers(record: Record, worker: str) -> Headers:
    origin = _origin(record.topic, record.partition, worker)
    return (*origin, (INPUT_OFFSET, b"%d" % record.offset))


@functools.lru_cache(maxsize=4096)
def _origin(topic: str, partition: int, worker: str) -> Headers:
    return (
        (WORKER, worker.encode("utf-8")),
        (INPUT_TOPIC, topic.encode("utf-8")),
        (INPUT_PARTITION, b"%d" % partition),
    )


def size_of(message: OutputMessage) -> int:
    """Returns an upper bound of the bytes that a message takes in the log."""
    size = _BATCH_OVERHEAD + len(message.key or b"") + len(message.value or b"")
    for name, value in message.headers:
        characters = len(name) if name.isascii() else len(name.encode("utf-8"))
        size += _HEADER_OVERHEAD + characters + len(value or b"")
    return size


def _cut(letter: OutputMessage, limits: TopicLimits) -> OutputMessage:
    """Cuts a dead letter that is larger than the topic's limit.

    It loses the end of the value first. If that is not enough, it loses the record's headers, then
    those about the user model's exception, then the key.
    """
    max_bytes = limits.max_bytes
    if size_of(letter) <= max_bytes:
        return letter
    length = len(letter.value or b"")
    marked = letter._replace(headers=[*letter.headers, (DEAD_CUT, b"%d" % length)])
    if letter.value is not None:
        kept = max(0, length - (size_of(marked) - max_bytes))
        marked = marked._replace(value=letter.value[:kept])
    if size_of(marked) > max_bytes:
        start = max(index for index, item in enumerate(marked.headers) if item[0] == DEAD_REASON)
        marked = marked._replace(headers=marked.headers[start:])
    if size_of(marked) > max_bytes:
        # The headers about the user model's exception may be the longest part that is left.
        optional = (DEAD_ERROR_REASON, DEAD_APP_CODE, DEAD_ERROR)
        marked = marked._replace(
            headers=[each for each in marked.headers if each[0] not in optional]
        )
    if size_of(marked) > max_bytes:
        marked = marked._replace(key=_position_key(letter.record) if limits.is_compacted else None)
    return marked


def compose(
    outcome: Outcome, replies: TopicLimits, dead_letters: TopicLimits, worker: str
) -> Tuple[Outcome, OutputMessage]:
    """Composes the message for an outcome.

    Returns:
        The outcome and its message; a reply that is too large for its topic becomes a rejection.
    """
    if isinstance(outcome, Reply):
        message = compose_reply(outcome, replies, worker)
        size = size_of(message)
        if size <= replies.max_bytes:
            return outcome, message
        text = f"the reply takes {size} bytes, {replies.topic} allows {replies.max_bytes}"
        outcome = Rejection(outcome.record, "reply_too_large", text, sent_puid=outcome.sent_puid)
    return outcome, compose_dead_letter(outcome, dead_letters, worker)
