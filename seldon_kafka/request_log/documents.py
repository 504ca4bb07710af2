"""From records of the request log and of feedback to documents of a search engine."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Optional

import orjson

from seldon_kafka.codec.feedback import BadFeedback, read
from seldon_kafka.messages import Record
from seldon_kafka.pipeline.replies import made_puid
from seldon_kafka.transport.log_entry import as_text_or_base64, json_text, rfc3339

_REFUSED = "-refused"
_KEYWORD, _DATE, _WHOLE = {"type": "keyword"}, {"type": "date"}, {"type": "long"}
# Shown, and not searched: of any shape, so that two of them may contradict each other.
_SHOWN: Dict[str, Any] = {"type": "object", "enabled": False}

INDEX: Dict[str, Any] = {
    "settings": {"index.mapping.ignore_malformed": True},
    "mappings": {
        # What looks like a date in one class's tags is a word in another's.
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
                    "partition": _WHOLE,
                    "offset": _WHOLE,
                    "timestamp": {"type": "date", "format": "epoch_millis"},
                    "key": _KEYWORD,
                }
            },
            "request": _SHOWN,
            "request_encoding": _KEYWORD,
            "request_content_type": _KEYWORD,
            "request_bytes": _WHOLE,
            "response": _SHOWN,
            "response_encoding": _KEYWORD,
            "response_content_type": _KEYWORD,
            "response_bytes": _WHOLE,
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
"""Settings and mappings of the indices; the tags of answers add fields of their own."""


@dataclasses.dataclass(frozen=True)
class Document:
    """What is written to an index.

    Attributes:
        index: which one.
        id: of the document; a record that comes again has the same one.
        body: one line of JSON.
        record: where it comes from.
        is_own: it is the record's own, and no other one in its place.
        is_whole: all that is in the record is in it.
    """

    index: str
    id: str
    body: bytes
    record: Record
    is_own: bool = True
    is_whole: bool = True

    @property
    def place(self) -> str:
        """Topic, partition and offset of its record."""
        return f"{self.record.topic}/{self.record.partition}/{self.record.offset}"

    @property
    def own_index(self) -> str:
        """Where the record's own document goes."""
        return self.index if self.is_own else self.index[: -len(_REFUSED)]


class NoDocument(Exception):
    """A record that is none of these topics'; the message says why."""


def document_of_entry(record: Record, index: str) -> Document:
    """The document for a record of the request log.

    Raises:
        NoDocument: it is none.
    """
    entry = _parsed(record)
    own_id, time = entry.get("id"), entry.get("time")
    if not isinstance(own_id, str) or not isinstance(time, str):
        raise NoDocument("it has no id and time")
    document = {"@timestamp": time, **entry}
    tags = _tags_in(entry.get("response"))
    if tags is not None:
        document["tags"] = tags
    return Document(index, own_id, _line(document), record)


def document_of_feedback(record: Record, index: str) -> Document:
    """The document for a record of the feedback topic: one for each word that was said.

    Raises:
        NoDocument: it is none.
    """
    try:
        feedback = read(record)
    except BadFeedback as error:
        raise NoDocument(str(error)) from error
    document: Dict[str, Any] = {
        "@timestamp": rfc3339(max(0, record.timestamp_ms)).decode("ascii"),
        "puid": feedback.puid,
        "truth": feedback.truth,
        "reward": feedback.reward,
        "request": feedback.request,
        "response": feedback.response,
    }
    if feedback.place is not None:
        document["input"] = dict(zip(("topic", "partition", "offset"), feedback.place))
    return Document(index, made_puid(record), _line(document), record)


def refused(record: Record, index: str, why: str, *, whole: bool = True) -> Document:
    """Stands for a document that the search engine, or we, can't take.

    Args:
        record: what it was to come of.
        index: where it was to go; this one goes beside it.
        why: in the search engine's words, or ours.
        whole: whether it has what was in the record, as text.
    """
    text = as_text_or_base64(record.value or b"", "").json if whole else b"null"
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    time = rfc3339(max(0, record.timestamp_ms)).decode("ascii")
    head = _line({"@timestamp": time, "input": place})
    line = b'%b,"refused":{"why":%b,"document":%b}}' % (head[:-1], json_text(why), text)
    return Document(
        refused_index(index), made_puid(record), line, record, is_own=False, is_whole=whole
    )


def refused_index(index: str) -> str:
    """Where documents go that the search engine refuses."""
    return index + _REFUSED


def _parsed(record: Record) -> Dict[str, Any]:
    try:
        entry = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError as error:
        raise NoDocument(f"it is not JSON: {error}") from error
    if not isinstance(entry, dict):
        raise NoDocument("it is no JSON object")
    return entry


def _tags_in(response: Any) -> Optional[Dict[str, Any]]:
    meta = response.get("meta") if isinstance(response, dict) else None
    tags = meta.get("tags") if isinstance(meta, dict) else None
    return tags if isinstance(tags, dict) else None


def _line(document: Dict[str, Any]) -> bytes:
    # Written anew and not copied: the sender's JSON may have line breaks and doubled keys, which
    # JSON allows and search engines do not.
    try:
        return orjson.dumps(document)
    except TypeError as error:
        raise NoDocument(f"it can't be written in one line: {error}") from error
