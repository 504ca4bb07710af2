"""From a message of the output or dead-letter topic to what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from consumer.labels import HIRAGANA
from producer.runs import OBJECT, UNREADABLE
from seldon_kafka.dead_letters.letters import REPLAYED
from seldon_kafka.messages import (
    DEAD_MESSAGE,
    DEAD_REASON,
    INPUT_OFFSET,
    INPUT_PARTITION,
    INPUT_TOPIC,
    WORKER,
    header,
)

UNREADABLE_OBJECT = "unreadable_object"
"""Reason of an answer: the sender found no picture in the object."""

Place = tuple[str, int, int]
"""Topic, partition and offset of the input that is answered."""

_PROTOBUF = b"seldon.protos.SeldonMessage"


@dataclass(frozen=True, slots=True)
class Label:
    """What one image was taken for.

    Attributes:
        name: The class with the highest probability: a romaji name, if the class
            of the model has such names.
        confidence: How sure the model is, from 0 to 1.
        abstain: The model would rather not say.
        outlier: The model takes the image for something else than it was made for.
        probabilities: Of each class, by its name.
    """

    name: str
    confidence: float
    abstain: bool = False
    outlier: bool = False
    probabilities: tuple[tuple[str, float], ...] = ()

    @property
    def hiragana(self) -> str:
        """The character, or nothing for a name that is not one of the ten."""
        return HIRAGANA.get(self.name, "")


class Reply(NamedTuple):
    """What a reply's value says: see `Answer`."""

    puid: str
    labels: tuple[Label, ...]
    model: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, or a dead letter.

    Attributes:
        place: Where the input was, if the message says so.
        key: The sender's key, as text.
        worker: Who answered.
        timestamp_ms: When the input was sent, in ms since 1970; of a dead letter,
            when it was rejected; None if unknown.
        truth: What the images show, if the sender said so.
        labels: What they were taken for; nothing in a dead letter.
        reason: Why it is a dead letter, a stable word; None in a reply.
        message: The same in a sentence.
        puid: Seldon's id of the reply, or nothing.
        model: Which model answered, if the reply says so, or nothing.
        object: The name of the object that the image is of, if the sender said so, or nothing.
    """

    place: Place | None
    key: str | None
    worker: str
    timestamp_ms: int | None
    truth: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ()
    reason: str | None = None
    message: str = ""
    puid: str = ""
    model: str = ""
    object: str = ""

    @property
    def dead(self) -> bool:
        """Whether it could not be answered."""
        return self.reason is not None


def read_answer(message: Message, dead_letter_topic: str) -> Answer | None:
    """What a message says; a reply that cannot be read has no labels, and says why.

    None if it is no answer: the mark of a replay stands between the dead letters.

    Args:
        message: From the output or the dead-letter topic.
        dead_letter_topic: The name of the latter.
    """
    headers: Any = message.headers() or ()
    dead = message.topic() == dead_letter_topic
    reply = Reply("", ())
    reason, text = None, ""
    if dead:
        if header(headers, DEAD_REASON) is None and header(headers, REPLAYED) is not None:
            return None
        reason = _text(header(headers, DEAD_REASON)) or "unknown"
        text = _text(header(headers, DEAD_MESSAGE))
    else:
        try:
            reply = read_reply(message.value() or b"", header(headers, "proto-name"))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            text = f"the reply cannot be read: {error}"
    unreadable = header(headers, UNREADABLE)
    if unreadable is not None:
        # What a worker makes of a message without a value says less.
        reason, text, reply = UNREADABLE_OBJECT, _text(unreadable), Reply("", ())
    kind, timestamp = message.timestamp()
    key = message.key()
    return Answer(
        place=_place(headers),
        key=None if key is None else _text(key),
        worker=_text(header(headers, WORKER)),
        timestamp_ms=None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
        truth=tuple(_text(header(headers, "truth")).split()),
        labels=reply.labels,
        reason=reason,
        message=text,
        puid=reply.puid,
        model=reply.model,
        object=_text(header(headers, OBJECT)),
    )


def read_reply(value: bytes, proto_name: bytes | None = None) -> Reply:
    """What a reply's value says, in any of the formats that replies have.

    Args:
        value: Seldon JSON or protobuf, Open Inference (V2) or TensorFlow Serving JSON.
        proto_name: The header of that name.

    Raises:
        ValueError, KeyError, TypeError, IndexError, AttributeError: It is none of them.
    """
    document = _protobuf(value) if proto_name == _PROTOBUF else json.loads(value)
    if "predictions" in document:
        return Reply("", _labels(document["predictions"], ()))
    if "outputs" in document:
        return Reply(str(document.get("id", "")), _from_v2(document))
    meta = document.get("meta", {})
    model = str(meta.get("tags", {}).get("model", ""))
    return Reply(str(meta.get("puid", "")), _from_seldon(document), model)


def _protobuf(value: bytes) -> Any:
    # Here and not above: most readers never meet one.
    from google.protobuf import json_format
    from google.protobuf.message import DecodeError
    from seldon_core.proto import prediction_pb2

    try:
        message = prediction_pb2.SeldonMessage.FromString(value)
    except DecodeError as error:
        raise ValueError(f"no SeldonMessage: {error}") from error
    return json_format.MessageToDict(message)


def _from_seldon(document: Any) -> tuple[Label, ...]:
    data = document["data"]
    if "tensor" in data:
        columns = int(data["tensor"]["shape"][-1])
        rows = _rows(data["tensor"]["values"], columns)
    else:
        rows = data["ndarray"]
    tags = document.get("meta", {}).get("tags", {})
    return _labels(rows, data.get("names", ()), tags)


def _from_v2(document: Any) -> tuple[Label, ...]:
    first, *others = document["outputs"]
    rows = _rows(first["data"], int(first["shape"][-1]))
    names = [n for n in first.get("parameters", {}).get("names", "").split(",") if n]
    tags = {output["name"]: output["data"] for output in others}
    return _labels(rows, names, tags)


def _rows(values: Sequence[float], columns: int) -> list[Sequence[float]]:
    return [values[start : start + columns] for start in range(0, len(values), columns)]


def _labels(
    rows: Sequence[Sequence[float]],
    names: Sequence[str],
    tags: Mapping[str, Sequence[Any]] | None = None,
) -> tuple[Label, ...]:
    tags = tags or {}
    confidence, abstain, outlier = map(tags.get, ("confidence", "abstain", "outlier"))
    found = []
    columns = max(map(len, rows), default=0)
    called = [_name(column, names, columns) for column in range(columns)]
    for number, row in enumerate(rows):
        best = max(range(len(row)), key=row.__getitem__)
        found.append(
            Label(
                name=called[best],
                confidence=float(row[best] if confidence is None else confidence[number]),
                abstain=bool(abstain[number]) if abstain else False,
                outlier=bool(outlier[number]) if outlier else False,
                probabilities=tuple(zip(called, map(float, row), strict=False)),
            )
        )
    return tuple(found)


def _name(column: int, names: Sequence[str], columns: int) -> str:
    if column < len(names):
        return names[column]
    # TensorFlow Serving's format has no place for names.
    return list(HIRAGANA)[column] if columns == len(HIRAGANA) else f"t:{column}"


def _place(headers: Sequence[Any]) -> Place | None:
    topic = header(headers, INPUT_TOPIC)
    try:
        return (
            _text(topic),
            int(header(headers, INPUT_PARTITION) or b""),
            int(header(headers, INPUT_OFFSET) or b""),
        )
    except ValueError:
        return None


def _text(value: bytes | str | None) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else value.decode("utf-8", "backslashreplace")
