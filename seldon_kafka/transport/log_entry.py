"""How a request and what became of it stand in the log: a CloudEvent of one JSON object.

CloudEvents 1.0 in the binary mode of its Kafka binding: attributes are headers, the value is data.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md

JSON that is known to be valid is copied as it is: to parse and write it again would cost as much as
to answer it. That is why this puts bytes together.
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
"""Content types of what is handed on without one."""

ENVELOPE_BYTES = 64 * 1024
"""Key, headers and framing of an entry take less, unless a limit is near, when they are counted."""

JSON, TEXT, BASE64, OMITTED = "json", "text", "base64", "omitted"
"""How a request or reply stands in an entry: as it is, as a string, or for its size not at all."""

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
    """Who logs.

    Attributes:
        source: of the events, a URI reference.
        worker: its name.
        headers: attributes that all of its events have.
    """

    source: str
    worker: str
    headers: Tuple[Tuple[str, bytes], ...]


class Content(NamedTuple):
    """The value of a request or a reply.

    Attributes:
        json: the JSON text that stands for it.
        encoding: how: `JSON`, `TEXT`, `BASE64` or `OMITTED`; empty where there is none.
        content_type: what it was before.
        size: how many bytes it had.
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
    """A request, and what became of it.

    Attributes:
        id: no other entry of this author's source has it; ASCII that JSON need not escape.
        puid: of the reply; the same as in feedback on it; UTF-8.
        transport: `kafka`, `rest` or `grpc`.
        place: JSON text that says where the request was read; `null` where it came otherwise.
        subject: the same for people, or empty.
        request: what was asked.
        response: what was answered.
        verdict: why nothing was.
    """

    id: bytes
    puid: bytes
    transport: bytes
    place: bytes
    subject: bytes
    request: Content
    response: Content
    verdict: Optional[Verdict]


def author_of(group_id: str, channel: str, worker: str, environ: Mapping[str, str]) -> Author:
    """Who logs.

    Args:
        group_id: the consumer group; with its server over REST and gRPC one model to its users.
        channel: the input topic, or how else requests come.
        worker: its name.
        environ: variables that Seldon sets.
    """
    told = ((name, environ.get(variable, "")) for name, variable in _SELDONS)
    headers = tuple((name, value.encode("utf-8")) for name, value in told if value)
    return Author(f"/{quote(group_id, safe='')}/{quote(channel, safe='')}", worker, headers)


def as_json(value: bytes, content_type: str) -> Content:
    """Content that is known to be one JSON text in UTF-8."""
    return Content(value, JSON, content_type, len(value))


def as_base64(value: bytes, content_type: str) -> Content:
    """Content that may be any bytes."""
    return Content(b'"%b"' % base64.b64encode(value), BASE64, content_type, len(value))


def as_text_or_base64(value: bytes, content_type: str) -> Content:
    """Content of which nothing is known: a string if it is UTF-8."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return as_base64(value, content_type)
    return Content(orjson.dumps(text), TEXT, content_type, len(value))


def written(entry: Entry, author: Author, time_text: bytes) -> bytes:
    """The entry's value."""
    request, response, verdict = entry.request, entry.response, entry.verdict
    return b"".join(
        (
            b'{"id":"%b","time":"%b","puid":' % (entry.id, time_text),
            # For most it is the id.
            b'"%b"' % entry.id if entry.puid == entry.id else json_text(entry.puid.decode("utf-8")),
            _origin(entry.transport, author.worker),
            entry.place,
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
    """The JSON text of a string, whatever is in it."""
    try:
        return orjson.dumps(text)
    except TypeError:  # half of a surrogate pair
        return orjson.dumps(text.encode("utf-8", "replace").decode("utf-8"))


def common_headers(author: Author, time_text: bytes) -> EventHeaders:
    """What the headers of all entries of one moment have in common."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_source", author.source.encode("ascii")),
        ("ce_time", time_text),
        ("content-type", JSON_TYPE.encode("ascii")),
        *author.headers,
    ]


def headers_of(entry: Entry, common: EventHeaders) -> EventHeaders:
    """The entry's headers: those that many have in common, and its own."""
    own: EventHeaders = [
        ("ce_type", ANSWERED if entry.verdict is None else REJECTED),
        ("ce_id", entry.id),
        ("ce_requestid", entry.puid),
    ]
    if entry.subject:
        own.append(("ce_subject", entry.subject))
    return common + own


def fitting(entry: Entry, author: Author, time_text: bytes, fits: Callable[[bytes], bool]) -> bytes:
    """The entry's value, without what has most bytes in it for as long as it does not fit.

    What is left out is said to be. A value from which all is left out is as it is.
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
    """A time in UTC as CloudEvents has it, such as `2026-11-26T12:00:00.000Z`."""
    moment = datetime.datetime.fromtimestamp(time_ms / 1000, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode("ascii")
