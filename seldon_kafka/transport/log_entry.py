"""Entries of the request log: a request and its outcome, as a CloudEvent with one JSON object.

An entry is a message in the binary mode of the Kafka binding of CloudEvents 1.0: the event's
attributes are headers, and its data is the value.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md

Entries are joined from bytes. A reply in JSON, and a request that the worker has decoded from JSON,
is copied into its entry. Parsing and writing it again would take as long as answering it.
"""

from __future__ import annotations

import base64
import datetime
import functools
import os
import time
from typing import Callable, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import quote

import orjson

from seldon_kafka.codec import family_of
from seldon_kafka.codec.feedback import LONGEST_PUID
from seldon_kafka.codec.json_text import JSON_HEADERS, is_strict_json, without_byte_order_mark
from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import Outcome, Record, Reply, header
from seldon_kafka.pipeline.replies import made_puid
from seldon_kafka.transport.output_messages import OutputMessage, TopicLimits, size_of

_LONGEST_KEY = 1024
_MAGIC = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))
_BINARY_TYPE = "application/octet-stream"
# The partitioner chooses the partition. The key is the `puid`, so an entry and the feedback on the
# same reply have the same partition number.
_BY_KEY = -1
ANSWERED = b"model.request.answered"
REJECTED = b"model.request.rejected"

JSON_TYPE, PROTOBUF_TYPE = "application/json", "application/x-protobuf"
"""Content types of JSON and protobuf values; used for values without a `content-type` header."""

ENVELOPE_BYTES = 64 * 1024
"""Generous estimate of the size of key, headers and framing, in bytes.

The true size is counted only if the value and this estimate exceed the topic's limit.
"""

JSON, TEXT, BASE64, OMITTED = "json", "text", "base64", "omitted"
"""Encodings of a request or reply in an entry: JSON, a string, a string in base64, or null."""

EventHeaders = List[Tuple[str, Optional[bytes]]]

# Attributes that Seldon's own request logger writes too, each with the environment variable of its
# value. Seldon's operator sets all of these variables but the last one
# (https://docs.seldon.io/projects/seldon-core/en/v1.17.1/analytics/logging.html).
_SELDON_ATTRIBUTES = (
    ("ce_inferenceservicename", "SELDON_DEPLOYMENT_ID"),
    ("ce_endpoint", "PREDICTOR_ID"),
    ("ce_modelid", "PREDICTIVE_UNIT_ID"),
    ("ce_namespace", "POD_NAMESPACE"),
)


class Author(NamedTuple):
    """The author of entries.

    Attributes:
        source: `source` of the CloudEvents, a URI reference.
        worker: name of the worker.
        headers: further attributes of all CloudEvents of the author, as headers.
    """

    source: str
    worker: str
    headers: Tuple[Tuple[str, bytes], ...]


class Content(NamedTuple):
    """The value of a request or a reply.

    Attributes:
        json: JSON text of the value in the entry, without a byte order mark.
        encoding: `JSON`, `TEXT`, `BASE64` or `OMITTED`; empty for a message without a value, and
            for a reply that does not exist.
        content_type: content type of the original value.
        size: size of the original value, in bytes.
    """

    json: bytes
    encoding: str
    content_type: str
    size: int


NO_CONTENT = Content(b"null", "", "", 0)


class Verdict(NamedTuple):
    """Why a request was not answered, as in a dead letter."""

    reason: str
    message: str
    failed: bool


class Entry(NamedTuple):
    """A request and its outcome.

    Attributes:
        id: `id` of the CloudEvent, unique within the source; ASCII without characters that JSON
            escapes.
        puid: the id by which feedback refers to this entry, in UTF-8: the `puid` of the request if
            it is a string of at most `LONGEST_PUID` characters, else one that the worker made.
        transport: `kafka`, `rest` or `grpc`.
        position: JSON text of the request's position in Kafka, or `null`.
        subject: `subject` of the CloudEvent: the position as topic/partition/offset, or empty.
        request: the request.
        response: the reply.
        verdict: why there is no reply; None for an answered request.
    """

    id: bytes
    puid: bytes
    transport: bytes
    position: bytes
    subject: bytes
    request: Content
    response: Content
    verdict: Optional[Verdict]


def author_of(group_id: str, channel: str, worker: str, environ: Mapping[str, str]) -> Author:
    """Returns the author of entries.

    Args:
        group_id: id of the consumer group, the first part of `source`. Entries of requests over
            REST and gRPC have it too.
        channel: second part of `source`: the input topic, or `calls` for REST and gRPC.
        worker: name of the worker.
        environ: environment variables, among them Seldon's.
    """
    known = ((name, environ.get(variable, "")) for name, variable in _SELDON_ATTRIBUTES)
    headers = tuple((name, value.encode("utf-8")) for name, value in known if value)
    return Author(f"/{quote(group_id, safe='')}/{quote(channel, safe='')}", worker, headers)


def as_json(value: bytes, content_type: str) -> Content:
    """Returns the content of a value that is one JSON text in UTF-8."""
    return Content(value, JSON, content_type, len(value))


def as_base64(value: bytes, content_type: str) -> Content:
    """Returns the content of any bytes."""
    return Content(b'"%b"' % base64.b64encode(value), BASE64, content_type, len(value))


def as_text_or_base64(value: bytes, content_type: str) -> Content:
    """Returns the content of an unknown value: a string if it is UTF-8, else base64."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return as_base64(value, content_type)
    return Content(orjson.dumps(text), TEXT, content_type, len(value))


def written(entry: Entry, author: Author, time_text: bytes) -> bytes:
    """Returns the value of the message for an entry."""
    request, response, verdict = entry.request, entry.response, entry.verdict
    return b"".join(
        (
            b'{"id":"%b","time":"%b","puid":' % (entry.id, time_text),
            # In most entries `puid` and `id` are the same.
            b'"%b"' % entry.id if entry.puid == entry.id else json_text(entry.puid.decode("utf-8")),
            _origin(entry.transport, author.worker),
            entry.position,
            _head("request", request.encoding, request.content_type),
            b'%d,"request":' % request.size,
            request.json,
            _head("response", response.encoding, response.content_type),
            b'%d,"response":' % response.size,
            response.json,
            b',"rejection":null}' if verdict is None else _written_verdict(verdict),
        )
    )


def _written_verdict(verdict: Verdict) -> bytes:
    return b',"rejection":{"reason":%b,"message":%b,"failed":%b}}' % (
        json_text(verdict.reason),
        json_text(verdict.message),
        b"true" if verdict.failed else b"false",
    )


@functools.lru_cache(maxsize=16)
def _origin(transport: bytes, worker: str) -> bytes:
    return b',"transport":"%b","worker":%b,"input":' % (transport, json_text(worker))


@functools.lru_cache(maxsize=256)
def _head(part: str, encoding: str, content_type: str) -> bytes:
    encoded, kind = _text_or_null(encoding), _text_or_null(content_type)
    return f',"{part}_encoding":{encoded},"{part}_content_type":{kind},"{part}_bytes":'.encode()


def _text_or_null(text: str) -> str:
    return json_text(text).decode("utf-8") if text else "null"


def json_text(text: str) -> bytes:
    """Returns the JSON text of any string."""
    try:
        return orjson.dumps(text)
    except TypeError:  # the string has an unpaired surrogate
        return orjson.dumps(text.encode("utf-8", "replace").decode("utf-8"))


def common_headers(author: Author, time_text: bytes) -> EventHeaders:
    """Returns the headers that all entries with this time share."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_source", author.source.encode("ascii")),
        ("ce_time", time_text),
        ("content-type", JSON_TYPE.encode("ascii")),
        *author.headers,
    ]


def headers_of(entry: Entry, common: EventHeaders) -> EventHeaders:
    """Returns the headers of an entry: the common ones, and those of this entry only."""
    own_headers: EventHeaders = [
        ("ce_type", ANSWERED if entry.verdict is None else REJECTED),
        ("ce_id", entry.id),
        ("ce_requestid", entry.puid),
    ]
    if entry.subject:
        own_headers.append(("ce_subject", entry.subject))
    return common + own_headers


def fitting(entry: Entry, author: Author, time_text: bytes, fits: Callable[[bytes], bool]) -> bytes:
    """Returns the message value of an entry, without the larger of request and reply if needed.

    If the value still does not fit, both are omitted. The entry marks omitted parts. If a value
    with neither request nor reply does not fit either, it is returned all the same.

    Args:
        entry: the entry.
        author: the author of the entry.
        time_text: time of the entry, as `rfc3339` returns it.
        fits: returns whether a value fits.
    """
    value = written(entry, author, time_text)
    while not fits(value):
        smaller = _without_largest(entry)
        if smaller is None:
            break
        entry = smaller
        value = written(entry, author, time_text)
    return value


def _without_largest(entry: Entry) -> Optional[Entry]:
    request, response = len(entry.request.json), len(entry.response.json)
    if max(request, response) <= len(NO_CONTENT.json):
        return None
    if request >= response:
        return entry._replace(request=_omitted(entry.request))
    return entry._replace(response=_omitted(entry.response))


def _omitted(content: Content) -> Content:
    return content._replace(json=NO_CONTENT.json, encoding=OMITTED)


def rfc3339(time_ms: int) -> bytes:
    """Returns a time in UTC for CloudEvents, such as `2026-11-26T12:00:00.000Z`."""
    moment = datetime.datetime.fromtimestamp(time_ms / 1000, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode("ascii")


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

        An entry that is too large for the topic omits the larger of request and reply, and then
        the other. The request is in the input topic, at the position in `input`. The reply is in
        the output topic, with the same position in its `kafka-input-…` headers.
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
    entry_id = puid = made_puid(record).encode("ascii")
    sent = outcome.sent_puid
    if sent and len(sent) <= LONGEST_PUID:
        puid = sent.encode("utf-8", "replace")
    request = _request(record, was_decoded=sent is not None)
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
    return Entry(entry_id, puid, b"kafka", position, subject, request, response, verdict)


class _Partition(NamedTuple):
    """The text before the offset, equal for all records of a partition.

    Attributes:
        json: beginning of `position`, JSON text.
        text: beginning of `ce_subject`.
    """

    json: bytes
    text: bytes


@functools.lru_cache(maxsize=4096)
def _partition(topic: str, partition: int) -> _Partition:
    json = b'{"topic":%b,"partition":%d,"offset":' % (json_text(topic), partition)
    return _Partition(json, f"{topic}/{partition}/".encode())


def _key(key: Optional[bytes]) -> bytes:
    """Returns a record's key as JSON text; null if the key is missing or too long to search for."""
    if key is None or len(key) > _LONGEST_KEY:
        return b"null"
    return json_text(key.decode("utf-8", "backslashreplace"))


def _request(record: Record, *, was_decoded: bool) -> Content:
    value = record.value
    if value is None:
        return NO_CONTENT
    given = header(record.headers, "content-type") if record.headers else None
    content_type = "" if given is None else given.decode("utf-8", "replace")
    if not was_decoded:
        return as_text_or_base64(value, content_type)
    family = family_of(record, value)
    if family == "json" and is_strict_json(value):
        text = without_byte_order_mark(value)
        return as_json(text, content_type or JSON_TYPE)._replace(size=len(value))
    if family == "json":
        return as_text_or_base64(value, content_type or JSON_TYPE)
    if family == "protobuf":
        return as_base64(value, content_type or PROTOBUF_TYPE)
    return as_base64(value, content_type or _guessed_content_type(value))


def _guessed_content_type(value: bytes) -> str:
    return next((name for magic, name in _MAGIC if value.startswith(magic)), _BINARY_TYPE)


def _response(reply: Reply) -> Content:
    if reply.headers is JSON_HEADERS:
        return as_json(reply.value, JSON_TYPE)
    content_type = (header(reply.headers, "content-type") or b"").decode("utf-8", "replace")
    # The codecs write valid JSON.
    return (as_json if content_type == JSON_TYPE else as_base64)(reply.value, content_type)
