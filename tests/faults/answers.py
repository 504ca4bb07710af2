"""Compares replies with the user model's answers to each image alone."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from google.protobuf import json_format
from numpy.typing import NDArray
from seldon_core.proto import prediction_pb2

from tests.faults.images import count, images
from tests.faults.user_models import answers_are_shifted
from wrapper import KmnistClassifier

TOLERANCE = 1e-5
"""Tolerance of a number: answers alone and in a batch agree to 1e-5."""

_DATATYPES = {
    **{"label": "BYTES", "confidence": "FP64", "abstain": "BOOL"},
    **{"outlier": "BOOL", "outlier_score": "FP64"},
}
# The bytes before the puid, which differs in each reply, by format.
_PUID_IN_JSON = b'"puid":"'
_PUID_IN_V2 = b'{"id":"'
_PUID_IN_PROTOBUF = re.compile(rb"\x12..?\x0a\x20", re.DOTALL)
_PUID_BYTES = 32
_MAX_REMEMBERED = 50_000


class Answers(NamedTuple):
    """The user model's answers to some images, each predicted alone.

    Attributes:
        rows: probabilities, (n, 10).
        tags: tags with a value for each image.
        names: names of the classes.
        model: the tag `model`.
    """

    rows: NDArray[np.float64]
    tags: dict[str, list[Any]]
    names: list[str]
    model: str


class _Content(NamedTuple):
    """The content of a reply; None for parts that its format does not have."""

    rows: NDArray[np.float64]
    tags: dict[str, Any] | None
    names: list[str] | None
    model: str | None


@functools.cache
def answers() -> Answers:
    """Returns the answers to all images."""
    classifier = KmnistClassifier()
    classifier.load()
    alone = [classifier.predict(images()[index : index + 1]) for index in range(count())]
    return Answers(
        np.array([each.data[0] for each in alone], dtype=np.float64),
        {name: [each.tags[name][0] for each in alone] for name in alone[0].tags if name != "model"},
        classifier.class_names(),
        alone[0].tags["model"],
    )


class Comparison:
    """Compares replies with the answers; equal replies are compared once."""

    def __init__(self) -> None:
        self._good: set[tuple[str, bool, bytes]] = set()

    def is_answer(
        self, value: bytes, proto_name: bytes | None, shown: str, worker: str = ""
    ) -> bool:
        """Returns whether a reply is the answer to the images of its message.

        Args:
            value: the reply's value.
            proto_name: its header `proto-name`, if there is one.
            shown: the images of the message.
            worker: the worker that answered; the user model of some workers gives each image
                the answer to the image before it.
        """
        # Replies to the same images are mostly equal, except for the puid.
        shifted = answers_are_shifted(worker)
        known = (shown, shifted, _without_puid(value))
        if known in self._good:
            return True
        try:
            good = _agree(_parse(value, proto_name), _expected(shown, shifted))
        except (ValueError, KeyError, TypeError, IndexError):
            return False
        if good and len(self._good) < _MAX_REMEMBERED:
            self._good.add(known)
        return good


def _without_puid(value: bytes) -> bytes:
    if value.startswith(_PUID_IN_V2):
        start = len(_PUID_IN_V2)
    elif (protobuf := _PUID_IN_PROTOBUF.match(value)) is not None:
        start = protobuf.end()
    else:
        found = value.find(_PUID_IN_JSON)
        if found < 0:
            return value
        start = found + len(_PUID_IN_JSON)
    puid = value[start : start + _PUID_BYTES]
    return value[:start] + value[start + _PUID_BYTES :] if puid.isalnum() else value


def _expected(shown: str, shifted: bool) -> Answers:
    first, image_count = (int(number) for number in shown.split("+"))
    indices = [(first + step) % count() for step in range(image_count)]
    if shifted:
        indices = [indices[-1], *indices[:-1]]
    found = answers()
    tags = {name: [values[index] for index in indices] for name, values in found.tags.items()}
    return found._replace(rows=found.rows[indices], tags=tags)


def _agree(content: _Content, expected: Answers) -> bool:
    if content.rows.shape != expected.rows.shape:
        return False
    return (
        _are_close(content.rows, expected.rows)
        and content.names in (None, expected.names)
        and content.model in (None, expected.model)
        and (content.tags is None or _same_tags(content.tags, expected.tags))
    )


def _same_tags(content: dict[str, Any], expected: dict[str, list[Any]]) -> bool:
    return all(_same_tag(content[name], values) for name, values in expected.items())


def _same_tag(content: list[Any], expected: list[Any]) -> bool:
    if len(content) == len(expected) and isinstance(expected[0], float):
        return _are_close(content, expected)
    return content == expected


def _are_close(content: Any, expected: Any) -> bool:
    difference = np.abs(np.asarray(content, np.float64) - np.asarray(expected, np.float64))
    # This form of the comparison is false for NaN.
    return bool((difference <= TOLERANCE).all())


def _parse(value: bytes, proto_name: bytes | None) -> _Content:
    if proto_name is not None:
        message = prediction_pb2.SeldonMessage.FromString(value)
        return _parse_seldon(json_format.MessageToDict(message))
    document = orjson.loads(value)
    if "predictions" in document:
        return _Content(_matrix(document["predictions"]), None, None, None)
    return _parse_v2(document) if "outputs" in document else _parse_seldon(document)


def _parse_seldon(document: dict[str, Any]) -> _Content:
    data, meta = document["data"], document["meta"]
    if not meta["puid"]:
        raise ValueError("a reply has a puid")
    if "tensor" in data:
        rows = _matrix(data["tensor"]["values"], data["tensor"]["shape"])
    else:
        rows = _matrix(data["ndarray"])
    tags = meta["tags"]
    return _Content(rows, tags, data["names"], tags["model"])


def _parse_v2(document: dict[str, Any]) -> _Content:
    if not document["id"]:
        raise ValueError("a reply has an id")
    predicted, *others = document["outputs"]
    rows = _matrix(predicted["data"], predicted["shape"])
    if [other["name"] for other in others] != list(answers().tags):
        raise ValueError("a V2 reply has an output for each tag")
    for other in others:
        if other["shape"] != [len(rows)] or other["datatype"] != _DATATYPES[other["name"]]:
            raise ValueError("an output has an entry for each row")
    names = predicted["parameters"]["names"].split(",")
    tags = {other["name"]: other["data"] for other in others}
    return _Content(rows, tags, names, document["parameters"]["model"])


def _matrix(values: Any, shape: Sequence[Any] | None = None) -> NDArray[np.float64]:
    """Returns the values as (n, 10), in the declared shape if there is one."""
    found = np.asarray(values, dtype=np.float64)
    if shape is not None:
        # protobuf's JSON writes integers of 64 bits as strings or numbers.
        found = found.reshape([int(size) for size in shape])
    if found.ndim != 2:
        raise ValueError("probabilities are rows")
    return found
