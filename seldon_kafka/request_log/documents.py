"""Converts records of the request log and of feedback to documents of a search engine."""

from __future__ import annotations

import dataclasses
from typing import Optional

import orjson

from seldon_kafka.codec.feedback import BadFeedback, read
from seldon_kafka.messages import Json, JsonObject, Record
from seldon_kafka.pipeline.replies import made_puid
from seldon_kafka.transport.log_entry import as_text_or_base64, json_text, rfc3339

_REFUSED = "-refused"
_KEYWORD, _DATE, _LONG = {"type": "keyword"}, {"type": "date"}, {"type": "long"}
# The index stores such a value and does not index its fields, because two values may give one field
# different types.
_SHOWN: JsonObject = {"type": "object", "enabled": False}

INDEX: JsonObject = {
    "settings": {"index.mapping.ignore_malformed": True},
    "mappings": {
        # A tag may look like a date in one reply, and have other text in the next reply.
        "date_detection": False,
        "properties": {
            "@timestamp": _DATE,
            "time": _DATE,
            "id": _KEYWORD,
            "puid": _KEYWORD,
            "transport": _KEYWORD,
            "worker": _KEYWORD,
            "input": {
                "properties": {
                    "topic": _KEYWORD,
                    "partition": _LONG,
                    "offset": _LONG,
                    "timestamp": {"type": "date", "format": "epoch_millis"},
                    "key": _KEYWORD,
                }
            },
            "request": _SHOWN,
            "request_encoding": _KEYWORD,
            "request_content_type": _KEYWORD,
            "request_bytes": _LONG,
            "response": _SHOWN,
            "response_encoding": _KEYWORD,
            "response_content_type": _KEYWORD,
            "response_bytes": _LONG,
            "rejection": {
                "properties": {
                    "reason": _KEYWORD,
                    "message": {"type": "text"},
                    "failed": {"type": "boolean"},
                }
            },
            "truth": _KEYWORD,
            "reward": {"type": "double"},
            "refused": {"properties": {"why": {"type": "text"}, "document": _SHOWN}},
        },
    },
}
"""Settings and mappings of the indices; tags of replies add further fields."""


@dataclasses.dataclass(frozen=True)
class Document:
    """A document for an index.

    Attributes:
        index: name of the index.
        id: id of the document; a record that is read twice gives the same id.
        body: the document as one line of JSON.
        record: the Kafka record that the document describes.
        is_own: whether the document is the record's regular document, and not a replacement.
        is_whole: whether the document has the value of the record.
    """

    index: str
    id: str
    body: bytes
    record: Record
    is_own: bool = True
    is_whole: bool = True

    @property
    def source(self) -> str:
        """Topic, partition and offset of the record, as `topic/partition/offset`."""
        return f"{self.record.topic}/{self.record.partition}/{self.record.offset}"

    @property
    def own_index(self) -> str:
        """Name of the index for the regular document of the record."""
        return self.index if self.is_own else self.index[: -len(_REFUSED)]


class NoDocument(Exception):
    """A record can't be converted to a document; the message has the reason."""


def document_of_entry(record: Record, index: str) -> Document:
    """Returns the document of a record of the request log.

    Raises:
        NoDocument: the record is not a valid entry of the request log.
    """
    entry = _parsed(record)
    own_id, time = entry.get("id"), entry.get("time")
    if not isinstance(own_id, str) or not isinstance(time, str):
        raise NoDocument("it lacks the string id or time")
    document = {"@timestamp": time, **entry}
    tags = _tags_in(entry.get("response"))
    if tags is not None:
        document["tags"] = tags
    return Document(index, own_id, _line(document), record)


def document_of_feedback(record: Record, index: str) -> Document:
    """Returns the document of a record of the feedback topic.

    Raises:
        NoDocument: the record is not valid feedback.
    """
    try:
        feedback = read(record)
    except BadFeedback as error:
        raise NoDocument(str(error)) from error
    document: JsonObject = {
        "@timestamp": rfc3339(max(0, record.timestamp_ms)).decode("ascii"),
        "puid": feedback.puid,
        "truth": feedback.truth,
        "reward": feedback.reward,
        "request": feedback.request,
        "response": feedback.response,
    }
    if feedback.position is not None:
        document["input"] = dict(zip(("topic", "partition", "offset"), feedback.position))
    return Document(index, made_puid(record), _line(document), record)


def refused(record: Record, index: str, why: str, *, whole: bool = True) -> Document:
    """Returns the replacement of a document that can't be written.

    Args:
        record: the record.
        index: the index of the refused document; `refused_index` names the replacement's index.
        why: the reason, from the search engine or the runtime.
        whole: whether the replacement has the record's value, as text or base64.
    """
    text = as_text_or_base64(record.value or b"", "").json if whole else b"null"
    source = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    time = rfc3339(max(0, record.timestamp_ms)).decode("ascii")
    head = _line({"@timestamp": time, "input": source})
    line = b'%b,"refused":{"why":%b,"document":%b}}' % (head[:-1], json_text(why), text)
    return Document(
        refused_index(index), made_puid(record), line, record, is_own=False, is_whole=whole
    )


def refused_index(index: str) -> str:
    """Returns the name of the index for replacements of refused documents."""
    return index + _REFUSED


def _parsed(record: Record) -> JsonObject:
    try:
        entry = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError as error:
        raise NoDocument(f"it is not JSON: {error}") from error
    if not isinstance(entry, dict):
        raise NoDocument("it is not a JSON object")
    return entry


def _tags_in(response: Json) -> Optional[JsonObject]:
    meta = response.get("meta") if isinstance(response, dict) else None
    tags = meta.get("tags") if isinstance(meta, dict) else None
    return tags if isinstance(tags, dict) else None


def _line(document: JsonObject) -> bytes:
    # The entry was parsed and is written again, because a sender's JSON may have line breaks and
    # duplicate keys. Search engines refuse both.
    try:
        return orjson.dumps(document)
    except TypeError as error:
        raise NoDocument(f"it can't be written as JSON: {error}") from error
