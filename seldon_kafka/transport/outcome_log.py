"""Composes entries of the request log for a worker's replies and rejections."""

from __future__ import annotations

import functools
import os
import time
from typing import List, NamedTuple, Optional, Sequence

from seldon_kafka.codec import family_of
from seldon_kafka.codec.feedback import LONGEST_PUID
from seldon_kafka.codec.json_text import JSON_HEADERS, is_strict_json
from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import Outcome, Record, Reply, header
from seldon_kafka.pipeline.replies import made_puid
from seldon_kafka.transport.log_entry import (
    ENVELOPE_BYTES,
    JSON_TYPE,
    NO_CONTENT,
    PROTOBUF_TYPE,
    Content,
    Entry,
    EventHeaders,
    Verdict,
    as_base64,
    as_json,
    as_text_or_base64,
    author_of,
    common_headers,
    fitting,
    headers_of,
    json_text,
    rfc3339,
)
from seldon_kafka.transport.output_messages import OutputMessage, TopicLimits, size_of

_LONGEST_KEY = 1024
_MAGIC = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))
_BYTES = "application/octet-stream"
# The partitioner chooses by key, so that an entry is in the same partition as its feedback.
_BY_KEY = -1


class OutcomeLog:
    """Composes entries.

    Args:
        settings: the settings with consumer group and input topic.
        limits: limits of the log's topic.
        worker: name of the worker.
    """

    def __init__(self, settings: Settings, limits: TopicLimits, worker: str) -> None:
        self.limits = limits
        self._author = author_of(settings.group_id, settings.input_topic, worker, os.environ)

    def compose(self, outcomes: Sequence[Outcome]) -> List[OutputMessage]:
        """Returns one message for each outcome.

        An entry that is too large for the topic omits the request first, unless the reply is
        larger. Both are in their own topics, at the position in `input`.
        """
        now_ms = int(time.time() * 1000)
        now = rfc3339(now_ms)
        common = common_headers(self._author, now)
        return [self._message(outcome, now_ms, now, common) for outcome in outcomes]

    def _message(
        self, outcome: Outcome, now_ms: int, now: bytes, common: EventHeaders
    ) -> OutputMessage:
        entry = entry_of(outcome)
        headers = headers_of(entry, common)
        limits = self.limits

        def message(value: bytes) -> OutputMessage:
            return OutputMessage(
                limits.topic, _BY_KEY, now_ms, entry.puid, value, headers, outcome.record
            )

        def fits(value: bytes) -> bool:
            return (
                len(value) + ENVELOPE_BYTES <= limits.max_bytes
                or size_of(message(value)) <= limits.max_bytes
            )

        return message(fitting(entry, self._author, now, fits))


def entry_of(outcome: Outcome) -> Entry:
    """Returns the entry of an outcome."""
    record = outcome.record
    own_id = puid = made_puid(record).encode("ascii")
    sent = outcome.sent_puid
    if sent and len(sent) <= LONGEST_PUID:
        puid = sent.encode("utf-8", "replace")
    request = _request(record, was_read=sent is not None)
    verdict = None
    if isinstance(outcome, Reply):
        response = _response(outcome)
    else:
        response = NO_CONTENT
        verdict = Verdict(outcome.reason, outcome.message, outcome.failed)
    partition = _partition(record.topic, record.partition)
    rest = record.offset, record.timestamp_ms, _key(record.key)
    position = partition.json + b'%d,"timestamp":%d,"key":%b}' % rest
    subject = partition.text + b"%d" % record.offset
    return Entry(own_id, puid, b"kafka", position, subject, request, response, verdict)


class _Partition(NamedTuple):
    """The common beginnings of positions in a partition."""

    json: bytes
    text: bytes


@functools.lru_cache(maxsize=4096)
def _partition(topic: str, partition: int) -> _Partition:
    json = b'{"topic":%b,"partition":%d,"offset":' % (json_text(topic), partition)
    return _Partition(json, f"{topic}/{partition}/".encode())


def _key(key: Optional[bytes]) -> bytes:
    """Returns the sender's key as JSON text; null if people can't search for it."""
    if key is None or len(key) > _LONGEST_KEY:
        return b"null"
    return json_text(key.decode("utf-8", "backslashreplace"))


def _request(record: Record, *, was_read: bool) -> Content:
    value = record.value
    if value is None:
        return NO_CONTENT
    given = header(record.headers, "content-type") if record.headers else None
    content_type = "" if given is None else given.decode("utf-8", "replace")
    if not was_read:
        return as_text_or_base64(value, content_type)
    family = family_of(record, value)
    if family == "json" and is_strict_json(value):
        return as_json(value, content_type or JSON_TYPE)
    if family == "json":
        return as_text_or_base64(value, content_type or JSON_TYPE)
    if family == "protobuf":
        return as_base64(value, content_type or PROTOBUF_TYPE)
    return as_base64(value, content_type or _kind_of(value))


def _kind_of(value: bytes) -> str:
    return next((name for magic, name in _MAGIC if value.startswith(magic)), _BYTES)


def _response(reply: Reply) -> Content:
    if reply.headers is JSON_HEADERS:
        return as_json(reply.value, JSON_TYPE)
    content_type = (header(reply.headers, "content-type") or b"").decode("utf-8", "replace")
    # The codecs write valid JSON.
    return (as_json if content_type == JSON_TYPE else as_base64)(reply.value, content_type)
