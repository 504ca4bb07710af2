"""What the class says of each image alone, and whether a reply says the same."""

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
from tests.faults.served import answers_of_neighbours
from wrapper import KmnistClassifier

TOLERANCE = 1e-5
"""How far an answer may be off; design: the same alone or in any batch, to 1e-5."""

_DATATYPES = {
    **{"label": "BYTES", "confidence": "FP64", "abstain": "BOOL"},
    **{"outlier": "BOOL", "outlier_score": "FP64"},
}
# What is before the one part of a reply that is another one each time, by its format.
_PUID_IN_JSON = b'"puid":"'
_PUID_IN_V2 = b'{"id":"'
_PUID_IN_PROTOBUF = re.compile(rb"\x12..?\x0a\x20", re.DOTALL)
_PUID_BYTES = 32
_MOST_REMEMBERED = 50_000


class Answers(NamedTuple):
    """The class's answers to some images, each asked alone.

    Attributes:
        rows: probabilities, (n, 10).
        tags: those that the class has for each image, one of each.
        names: of the classes.
        model: the tag `model`.
    """

    rows: NDArray[np.float64]
    tags: dict[str, list[Any]]
    names: list[str]
    model: str


class _Said(NamedTuple):
    """What a reply says; None for what its format has no place for."""

    rows: NDArray[np.float64]
    tags: dict[str, Any] | None
    names: list[str] | None
    model: str | None


@functools.cache
def answers() -> Answers:
    """The answers to all images."""
    classifier = KmnistClassifier()
    classifier.load()
    alone = [classifier.predict(images()[place : place + 1]) for place in range(count())]
    return Answers(
        np.array([each.data[0] for each in alone], dtype=np.float64),
        {name: [each.tags[name][0] for each in alone] for name in alone[0].tags if name != "model"},
        classifier.class_names(),
        alone[0].tags["model"],
    )


class Comparison:
    """Compares replies with the answers, each different reply once."""

    def __init__(self) -> None:
        self._good: set[tuple[str, bool, bytes]] = set()

    def is_answer(
        self, value: bytes, proto_name: bytes | None, shown: str, worker: str = ""
    ) -> bool:
        """Whether a reply's value is the class's answer to each image that the message showed.

        Args:
            value: the reply's value.
            proto_name: its header `proto-name`, if it has one.
            shown: which images the message held.
            worker: the worker that answered; the class of some gives each image the answer of the
                image before it.
        """
        # Most replies to a message are the same to the last byte, but for the puid.
        rolled = answers_of_neighbours(worker)
        known = (shown, rolled, _without_puid(value))
        if known in self._good:
            return True
        try:
            good = _agree(_said(value, proto_name), _expected(shown, rolled))
        except (ValueError, KeyError, TypeError, IndexError):
            return False
        if good and len(self._good) < _MOST_REMEMBERED:
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


def _expected(shown: str, rolled: bool) -> Answers:
    first, images_in_it = (int(number) for number in shown.split("+"))
    places = [(first + place) % count() for place in range(images_in_it)]
    if rolled:
        places = [places[-1], *places[:-1]]
    found = answers()
    tags = {name: [values[place] for place in places] for name, values in found.tags.items()}
    return found._replace(rows=found.rows[places], tags=tags)


def _agree(said: _Said, expected: Answers) -> bool:
    if said.rows.shape != expected.rows.shape:
        return False
    return (
        _are_close(said.rows, expected.rows)
        and said.names in (None, expected.names)
        and said.model in (None, expected.model)
        and (said.tags is None or _same_tags(said.tags, expected.tags))
    )


def _same_tags(said: dict[str, Any], expected: dict[str, list[Any]]) -> bool:
    return all(_same_tag(said[name], values) for name, values in expected.items())


def _same_tag(said: list[Any], expected: list[Any]) -> bool:
    if len(said) == len(expected) and isinstance(expected[0], float):
        return _are_close(said, expected)
    return said == expected


def _are_close(said: Any, expected: Any) -> bool:
    off = np.abs(np.asarray(said, dtype=np.float64) - np.asarray(expected, dtype=np.float64))
    # Written so that NaN, which is no number to be close to, is not close.
    return bool((off <= TOLERANCE).all())


def _said(value: bytes, proto_name: bytes | None) -> _Said:
    if proto_name is not None:
        message = prediction_pb2.SeldonMessage.FromString(value)
        return _of_seldon(json_format.MessageToDict(message))
    document = orjson.loads(value)
    if "predictions" in document:
        return _Said(_matrix(document["predictions"]), None, None, None)
    return _of_v2(document) if "outputs" in document else _of_seldon(document)


def _of_seldon(document: dict[str, Any]) -> _Said:
    data, meta = document["data"], document["meta"]
    if not meta["puid"]:
        raise ValueError("a reply has a puid")
    if "tensor" in data:
        rows = _matrix(data["tensor"]["values"], data["tensor"]["shape"])
    else:
        rows = _matrix(data["ndarray"])
    tags = meta["tags"]
    return _Said(rows, tags, data["names"], tags["model"])


def _of_v2(document: dict[str, Any]) -> _Said:
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
    return _Said(rows, tags, names, document["parameters"]["model"])


def _matrix(values: Any, shape: Sequence[Any] | None = None) -> NDArray[np.float64]:
    """The numbers (n, 10); of a tensor in the shape that it says it has."""
    found = np.asarray(values, dtype=np.float64)
    if shape is not None:
        # protobuf's JSON has whole numbers of 64 bits as texts or numbers.
        found = found.reshape([int(size) for size in shape])
    if found.ndim != 2:
        raise ValueError("probabilities are rows")
    return found
