"""Entries of the request log: a request and its outcome, as a CloudEvent with one JSON object.

CloudEvents 1.0 in the binary mode of its Kafka binding: attributes are headers, the value is data.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md

Valid JSON is copied and not parsed: to parse and write it again would cost as much as to answer the
request. So this module joins bytes.
"""

from __future__ import annotations

import base64
import datetime
import functools
from typing import Callable, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import quote

import orjson

ANSWERED = b"model.request.answered"
REJECTED = b"model.request.rejected"

JSON_TYPE, PROTOBUF_TYPE = "application/json", "application/x-protobuf"
"""Content types of values without a content type."""

ENVELOPE_BYTES = 64 * 1024
"""Assumed size of key, headers and framing; they are counted only near a limit."""

JSON, TEXT, BASE64, OMITTED = "json", "text", "base64", "omitted"
"""Encodings of a request or reply in an entry: as JSON, as a string, in base64, or omitted."""

EventHeaders = List[Tuple[str, Optional[bytes]]]

# Seldon's own request logger has these attributes; its operator sets all of the variables but the
# last one (https://docs.seldon.io/projects/seldon-core/en/v1.17.1/analytics/logging.html).
_SELDONS = (
    ("ce_inferenceservicename", "SELDON_DEPLOYMENT_ID"),
    ("ce_endpoint", "PREDICTOR_ID"),
    ("ce_modelid", "PREDICTIVE_UNIT_ID"),
    ("ce_namespace", "POD_NAMESPACE"),
)


class Author(NamedTuple):
    """The author of entries.

    Attributes:
        source: CloudEvents source, a URI reference.
        worker: name of the worker.
        headers: attributes of all its events.
    """

    source: str
    worker: str
    headers: Tuple[Tuple[str, bytes], ...]


class Content(NamedTuple):
    """The value of a request or a reply.

    Attributes:
        json: its JSON text in the entry.
        encoding: `JSON`, `TEXT`, `BASE64` or `OMITTED`; empty without a value.
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
        id: unique within the source; ASCII without characters that JSON escapes.
        puid: `puid` of the reply, the same as in feedback on it; UTF-8.
        transport: `kafka`, `rest` or `grpc`.
        position: JSON text of the request's position in Kafka, or `null`.
        subject: the position for people, or empty.
        request: the request.
        response: the reply.
        verdict: why there is no reply.
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
        group_id: the consumer group; servers over REST and gRPC beside it have the same id.
        channel: the input topic, or the name of another channel.
        worker: name of the worker.
        environ: environment variables, with those of Seldon.
    """
    known = ((name, environ.get(variable, "")) for name, variable in _SELDONS)
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
    """Returns the value of an entry."""
    request, response, verdict = entry.request, entry.response, entry.verdict
    return b"".join(
        (
            b'{"id":"%b","time":"%b","puid":' % (entry.id, time_text),
            # In most entries both are the same.
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
    except TypeError:  # half of a surrogate pair
        return orjson.dumps(text.encode("utf-8", "replace").decode("utf-8"))


def common_headers(author: Author, time_text: bytes) -> EventHeaders:
    """Returns the headers that all entries of one moment share."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_source", author.source.encode("ascii")),
        ("ce_time", time_text),
        ("content-type", JSON_TYPE.encode("ascii")),
        *author.headers,
    ]


def headers_of(entry: Entry, common: EventHeaders) -> EventHeaders:
    """Returns the headers of an entry: shared ones and its own."""
    own: EventHeaders = [
        ("ce_type", ANSWERED if entry.verdict is None else REJECTED),
        ("ce_id", entry.id),
        ("ce_requestid", entry.puid),
    ]
    if entry.subject:
        own.append(("ce_subject", entry.subject))
    return common + own


def fitting(entry: Entry, author: Author, time_text: bytes, fits: Callable[[bytes], bool]) -> bytes:
    """Returns the value of an entry; it omits the larger of request and reply until it fits.

    The entry says what it omits. A value without both is returned even if it does not fit.
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
