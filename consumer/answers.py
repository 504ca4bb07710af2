"""Parses the messages of the output topic and the dead-letter topic."""

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
    InputPosition,
    header,
)

UNREADABLE_OBJECT = "unreadable_object"
"""Reason of a dead letter: the sender could not read the object as an image."""

_PROTOBUF = b"seldon.protos.SeldonMessage"


@dataclass(frozen=True, slots=True)
class Label:
    """The classification of one image.

    Attributes:
        name: name of the class with the highest probability, such as the romaji `ki`.
        confidence: confidence of the model in this class, from 0 to 1.
        abstain: whether the model is too unsure to decide.
        outlier: whether the model finds that the image shows none of its classes.
        probabilities: name and probability of each class.
    """

    name: str
    confidence: float
    abstain: bool = False
    outlier: bool = False
    probabilities: tuple[tuple[str, float], ...] = ()

    @property
    def hiragana(self) -> str:
        """The character of the class; empty if the name is not one of the ten romaji names."""
        return HIRAGANA.get(self.name, "")


class Reply(NamedTuple):
    """The parsed value of a reply.

    Attributes:
        puid: Seldon's id of the reply; empty if there is none.
        labels: the label of each image.
        model: name of the model; empty if the reply does not name it.
    """

    puid: str
    labels: tuple[Label, ...]
    model: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply or a dead letter.

    Attributes:
        input_position: topic, partition and offset of the input record; None if unknown.
        key: key of the input, as text; None if there is none.
        worker: name of the worker; empty if unknown.
        timestamp_ms: timestamp of the input, in ms since 1970. For a dead letter, the time of the
            rejection. None if unknown.
        truth: the true label of each image; empty if the sender named no labels.
        labels: the label of each image; empty in a dead letter, and if the reply cannot be read.
        reason: stable word for the reason of a dead letter; None in a reply.
        message: description of the reason, or of the error in a reply that cannot be read; empty
            for a reply that can be read.
        puid: Seldon's id of the reply; empty if there is none.
        model: name of the model; empty if the reply does not name it.
        object: name of the object with the image; empty if the sender did not name it.
    """

    input_position: InputPosition | None
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
        """Whether the answer is a dead letter."""
        return self.reason is not None


def read_answer(message: Message, dead_letter_topic: str) -> Answer | None:
    """Parses a message.

    Args:
        message: a message of the output topic or the dead-letter topic.
        dead_letter_topic: name of the dead-letter topic.

    Returns:
        The answer. None for a message in the dead-letter topic that only marks a replay.
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
        # The sender has sent a message without a value, because it could not read the object. The
        # worker's reason is then `tombstone`, and the sender's reason is more precise.
        reason, text, reply = UNREADABLE_OBJECT, _text(unreadable), Reply("", ())
    kind, timestamp = message.timestamp()
    key = message.key()
    return Answer(
        input_position=_input_position(headers),
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
    """Parses the value of a reply, in any format of replies.

    Args:
        value: Seldon JSON or protobuf, Open Inference (V2) or TensorFlow Serving JSON.
        proto_name: value of the header `proto-name`; None if there is none.

    Raises:
        ValueError, KeyError, TypeError, IndexError, AttributeError: the value has none of these
            formats.
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
    # Imported here, because most readers never receive protobuf.
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
    column_names = [_name(column, names, columns) for column in range(columns)]
    for number, row in enumerate(rows):
        best = max(range(len(row)), key=row.__getitem__)
        found.append(
            Label(
                name=column_names[best],
                confidence=float(row[best] if confidence is None else confidence[number]),
                abstain=bool(abstain[number]) if abstain else False,
                outlier=bool(outlier[number]) if outlier else False,
                probabilities=tuple(zip(column_names, map(float, row), strict=False)),
            )
        )
    return tuple(found)


def _name(column: int, names: Sequence[str], columns: int) -> str:
    if column < len(names):
        return names[column]
    # The reply has no names, for example because TensorFlow Serving's format has no field for them.
    # Ten columns are taken for the ten classes of the classifier.
    return list(HIRAGANA)[column] if columns == len(HIRAGANA) else f"t:{column}"


def _input_position(headers: Sequence[Any]) -> InputPosition | None:
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
