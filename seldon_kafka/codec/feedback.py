"""Composes and parses feedback messages, which have the correct labels or a reward for a reply.

A message is Seldon's `Feedback` in JSON. Its key is the `puid` of the reply, so all feedback on one
reply is in one partition, in order.
https://docs.seldon.io/projects/seldon-core/en/v1.17.1/reference/apis/prediction.html
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from typing import List, Optional, Sequence, Tuple

import orjson

from seldon_kafka.codec.json_text import JSON_HEADERS, parse_strict_json
from seldon_kafka.codec.limits import check_containers
from seldon_kafka.errors import Rejected
from seldon_kafka.messages import (
    INPUT_OFFSET,
    INPUT_PARTITION,
    INPUT_TOPIC,
    Headers,
    InputPosition,
    Json,
    JsonObject,
    Record,
    header,
)

MOST_BYTES = 8 * 1024 * 1024
"""Default size limit of a value, in bytes; `KAFKA_MAX_MESSAGE_BYTES` has the same default."""

# The length limit of a label, in characters.
_LONGEST_LABEL = 256
_EXPECTED = "truth must be strData, or data with an ndarray or a tensor"
_PARTS = ("request", "response", "reward", "truth")
LONGEST_PUID = 1024
"""Length limit of a `puid`, in characters; feedback with a longer `puid` is refused."""

# The number of digits of the largest offset, 2**63 - 1.
_MOST_DIGITS = 19


class BadFeedback(Exception):
    """A document is not valid feedback; the message says what the sender must change."""


@dataclasses.dataclass(frozen=True)
class Feedback:
    """Feedback on one reply.

    Attributes:
        puid: `meta.puid` of the reply.
        truth: correct label of each row, "" for a row without a label; empty if the feedback has no
            labels.
        reward: quality of the reply, in the sender's own measure; 0 if there is none.
        request: the request in Seldon JSON; None if the sender does not send it.
        response: the reply in Seldon JSON; None if the sender does not send it.
        position: topic, partition and offset of the request; None if unknown.
        given_ms: time of the feedback, in milliseconds since 1970; -1 if unknown.
    """

    puid: str
    truth: Tuple[str, ...] = ()
    reward: float = 0.0
    request: Optional[JsonObject] = None
    response: Optional[JsonObject] = None
    position: Optional[InputPosition] = None
    given_ms: int = -1


def compose(feedback: Feedback) -> Tuple[bytes, bytes, List[Tuple[str, Optional[bytes]]]]:
    """Composes a feedback message; the caller must send it with the timestamp `given_ms`.

    Returns:
        Key, value and headers. `response.meta.puid` in the value is the `puid` of the feedback.

    Raises:
        BadFeedback: the feedback can't be written as JSON, or `read` would refuse it.
    """
    response = feedback.response or {}
    document: JsonObject = {
        "request": feedback.request,
        "response": {**response, "meta": {**(response.get("meta") or {}), "puid": feedback.puid}},
        "reward": feedback.reward,
        "truth": {"data": {"ndarray": list(feedback.truth)}},
    }
    if not feedback.request:
        del document["request"]
    if not feedback.truth:
        del document["truth"]
    try:
        _feedback_of(document, feedback.given_ms, None, None)
        value = _dumped(document)
        check_containers(value)
    except Rejected as error:
        raise BadFeedback(error.message) from error
    return (
        feedback.puid.encode("utf-8"),
        value,
        [*JSON_HEADERS, *_headers_of(feedback.position)],
    )


def read(record: Record, max_bytes: int = MOST_BYTES) -> Feedback:
    """Parses a message of the feedback topic.

    Args:
        record: the message. Its key is the `puid` if its value has no `puid`.
        max_bytes: larger values are refused before they are parsed.

    Raises:
        BadFeedback: the message is not valid feedback.
    """
    value = record.value
    if value is None:
        raise BadFeedback("the value is null; feedback was expected")
    if len(value) > max_bytes:
        raise BadFeedback(f"the value has {len(value)} bytes, more than the {max_bytes} allowed")
    try:
        document = parse_strict_json(value)
    except Rejected as error:
        raise BadFeedback(error.message) from error
    puid = (record.key or b"").decode("utf-8", "backslashreplace")
    return feedback_of(
        document, record.timestamp_ms, position=_position_in(record.headers), puid=puid
    )


def feedback_of(
    document: JsonObject,
    given_ms: int,
    *,
    position: Optional[InputPosition] = None,
    puid: str = "",
) -> Feedback:
    """Parses feedback in Seldon's JSON, as clients post it to `/send-feedback`.

    Args:
        document: the parsed JSON. The `puid` comes from `response.meta`, or else from
            `request.meta`. `labels_of` describes the forms of `truth`.
        given_ms: time of the feedback, in milliseconds since 1970.
        position: topic, partition and offset of the request; None if unknown.
        puid: the `puid` if the JSON has none. If both are missing, the `puid` is a hash of the
            request, so all feedback on equal requests has the same `puid`.

    Raises:
        BadFeedback: a part is missing or malformed.
    """
    try:
        return _feedback_of(document, given_ms, position, puid)
    except Rejected as error:
        raise BadFeedback(error.message) from error


def _feedback_of(
    document: JsonObject,
    given_ms: int,
    position: Optional[InputPosition],
    puid: Optional[str],
) -> Feedback:
    if not any(part in document for part in _PARTS):
        raise Rejected("no_payload", f"the object has none of {', '.join(_PARTS)}")
    request, response = _message(document, "request"), _message(document, "response")
    puid = _puid_in(response) or _puid_in(request) or puid or _puid_of_request(request)
    if len(puid) > LONGEST_PUID:
        raise Rejected("too_large", f"the puid has more than {LONGEST_PUID} characters")
    truth, reward = labels_of(document.get("truth")), _reward_in(document)
    if response == {"meta": {"puid": puid}}:
        response = None
    return Feedback(puid, truth, reward, request, response, position, given_ms)


def _message(document: JsonObject, part: str) -> Optional[JsonObject]:
    """Returns the request or response in the feedback; None if it is missing or empty."""
    message = document.get(part)
    if not message:
        return None
    if not isinstance(message, dict) or not isinstance(message.get("meta") or {}, dict):
        raise Rejected("bad_value", f"{part} and its meta must be objects")
    return message


def _puid_in(message: Optional[JsonObject]) -> str:
    puid = ((message or {}).get("meta") or {}).get("puid") or ""
    if not isinstance(puid, str):
        raise Rejected("bad_value", "meta.puid must be a string")
    return puid


def _puid_of_request(request: Optional[JsonObject]) -> str:
    if request is None:
        raise Rejected(
            "no_payload", "the feedback has no puid: send response.meta.puid, or the request"
        )
    return hashlib.blake2b(_dumped(request, orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def _reward_in(document: JsonObject) -> float:
    reward = document.get("reward")
    if reward is None:
        return 0.0
    try:
        if isinstance(reward, (int, float)) and math.isfinite(reward):
            return float(reward)
    except OverflowError:  # an integer of hundreds of digits
        pass
    raise Rejected("bad_value", "reward must be a finite number")


def _dumped(document: JsonObject, option: int = 0) -> bytes:
    try:
        return orjson.dumps(document, option=option)
    except orjson.JSONEncodeError as error:
        raise Rejected("bad_value", f"the feedback can't be written as JSON: {error}") from error


def _headers_of(position: Optional[InputPosition]) -> Headers:
    if position is None:
        return ()
    topic, partition, offset = position
    return (
        (INPUT_TOPIC, topic.encode("utf-8")),
        (INPUT_PARTITION, b"%d" % partition),
        (INPUT_OFFSET, b"%d" % offset),
    )


def _position_in(headers: Headers) -> Optional[InputPosition]:
    """Returns the position of the request from headers; None if it is missing or malformed."""
    topic = header(headers, INPUT_TOPIC)
    numbers = [header(headers, name) or b"" for name in (INPUT_PARTITION, INPUT_OFFSET)]
    if not topic or not all(each.isdigit() and len(each) <= _MOST_DIGITS for each in numbers):
        return None
    return topic.decode("utf-8", "backslashreplace"), int(numbers[0]), int(numbers[1])


def labels_of(truth: Json) -> Tuple[str, ...]:
    """Returns the labels in `truth` of a feedback message.

    Args:
        truth: a Seldon message as JSON. `strData` is a single label. An entry of an `ndarray` or
            `tensor` is the label of a row: a name or a number, or a list of one of them. If an
            entry is a list of several numbers (one-hot or probabilities), the index of the largest
            number decides the label. The label is the name at this index in `data.names` if there
            are as many names as numbers, else the index itself, from 0.

    Returns:
        One label for each row; empty if there is no truth. An integral number is written without a
        point (`3`, not `3.0`), because protobuf has no integers in an ndarray. The label is "" for
        null, and for a list whose largest number occurs twice.

    Raises:
        Rejected: the truth has another form.
    """
    if truth is None or truth == {}:
        return ()
    if not isinstance(truth, dict):
        raise Rejected("bad_value", _EXPECTED)
    if "strData" in truth:
        return (_label(truth["strData"]),)
    data = truth.get("data")
    if not isinstance(data, dict):
        raise Rejected("bad_value", _EXPECTED)
    names = data.get("names") or []
    if not isinstance(names, list):
        raise Rejected("bad_value", "truth.data.names must be an array of strings")
    return tuple(_label_of_entry(entry, names) for entry in _entries(data))


def _entries(data: JsonObject) -> List[Json]:
    """Returns one entry for each row: a label, or a list of labels or numbers."""
    if "tensor" in data:
        return _rows_of_tensor(data["tensor"])
    if isinstance(data.get("ndarray"), list):
        return list(data["ndarray"])
    raise Rejected("bad_value", _EXPECTED)


def _rows_of_tensor(tensor: Json) -> List[Json]:
    values = tensor.get("values") if isinstance(tensor, dict) else None
    shape = tensor.get("shape") if isinstance(tensor, dict) else None
    if not isinstance(values, list) or not isinstance(shape, list):
        raise Rejected("bad_value", "truth.data.tensor must be an object with shape and values")
    if len(shape) not in (1, 2) or not all(type(size) is int and size > 0 for size in shape):
        raise Rejected("bad_shape", "truth.data.tensor.shape must be [rows] or [rows, columns]")
    columns = shape[1] if len(shape) == 2 else 1
    if shape[0] * columns != len(values):
        raise Rejected(
            "bad_shape", f"truth.data.tensor.shape {shape} does not hold {len(values)} values"
        )
    return [values[start : start + columns] for start in range(0, len(values), columns)]


def _label_of_entry(entry: Json, names: Sequence[Json]) -> str:
    if not isinstance(entry, list):
        return _label(entry)
    if len(entry) == 1:
        return _label(entry[0])
    if not entry or not all(_is_number(value) for value in entry):
        raise Rejected(
            "bad_shape", "an entry of truth must be a name, a number, or one number for each class"
        )
    largest = max(entry)
    if entry.count(largest) > 1:
        return ""
    index = entry.index(largest)
    return _label(names[index]) if len(names) == len(entry) else str(index)


def _label(label: Json) -> str:
    if label is None:
        return ""
    if _is_number(label):
        is_whole = isinstance(label, float) and label.is_integer() and abs(label) < 2**53
        return str(int(label)) if is_whole else str(label)
    if not isinstance(label, str):
        raise Rejected("bad_value", "a label must be a string or a number")
    if len(label) > _LONGEST_LABEL:
        raise Rejected("too_large", f"a label has {len(label)} characters, over {_LONGEST_LABEL}")
    return label


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
