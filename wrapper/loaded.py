"""The base of all classes with a model, which read it once and load it late."""

from __future__ import annotations

import sys
import threading
from typing import Any, Callable, Dict, List, Optional, Type, Union

import numpy as np
from seldon_core.proto.prediction_pb2 import SeldonMessage
from seldon_core.utils import extract_request_parts, extract_request_parts_json

from model.artefacts import Artefact, ArtefactError
from model.loader import SIDE, Answers, Baseline, Classifier
from wrapper.payload import BadPayload

Model = Union[Classifier, Baseline]


class ModelHolder:
    """A Seldon class with a model.

    Seldon makes the object before it forks its servers. So the constructor reads the artefact,
    which is fetched once, but loads no interpreter, which would not survive the fork.

    It is no `SeldonComponent`, because that has every optional method. Seldon's server and the
    stream runtime check which of them a class has.

    Raises:
        SystemExit: the artefact cannot be read. Other exceptions would be shown with a stack trace
            by the program that makes the object. The status is 2 for an error that an operator must
            correct, and 1 for a temporary one.
    """

    _read: Callable[[], Artefact]
    _kind: Union[Type[Classifier], Type[Baseline]]

    def __init__(self) -> None:
        self._artefact = _read_or_exit(type(self)._read)
        self._model: Optional[Model] = None
        self._loading = threading.Lock()

    def load(self) -> None:
        """Loads the model once; Seldon calls it in each of its server processes.

        Raises:
            SystemExit: the file is no model of this kind. The status is 3, at which Gunicorn in
                Seldon's server gives up; with any other status it would retry forever.
        """
        try:
            self._check(self._answer_to_blank())
        except ArtefactError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(3) from error

    def _check(self, answers: Answers) -> None:
        """Checks from an answer of the model that the class can use the model.

        Raises:
            ArtefactError: it cannot.
        """

    def health_status(self) -> List[str]:
        """Classifies a blank image, so that a broken model is reported as unhealthy.

        Returns:
            The model's name.
        """
        self._answer_to_blank()
        return [self._artefact.name]

    def _answer_to_blank(self) -> Answers:
        return self._loaded().answers(np.zeros((1, SIDE, SIDE), np.uint8))

    def _loaded(self) -> Model:
        with self._loading:
            if self._model is None:
                self._model = type(self)._kind(self._artefact.content)
            return self._model


def tags_of(meta: Any) -> Dict[str, Any]:
    """Returns the tags in a message's `meta`, which may be missing.

    Raises:
        BadPayload: `meta` or its tags are not JSON objects.
    """
    tags = meta.get("tags") if isinstance(meta, dict) else meta
    if tags is None:
        return {}
    if not isinstance(tags, dict):
        raise BadPayload("bad_shape", f"meta and its tags must be objects, not {tags!r:.40}")
    return tags


def parse_payload(message: Union[Dict[str, Any], SeldonMessage]) -> Any:
    """Returns the payload of Seldon's own JSON or protobuf.

    Raises:
        BadPayload: the message cannot be read; Seldon's own parser would answer with status 500.
    """
    is_proto = isinstance(message, SeldonMessage)
    extract = extract_request_parts if is_proto else extract_request_parts_json
    try:
        return extract(message)[0]
    except NameError as error:  # Seldon's parser uses a TensorFlow class without an import
        raise BadPayload(
            "bad_value", "tftensor needs TensorFlow, which is not installed"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadPayload("bad_shape", f"the message can't be read as arrays: {error}") from error


def _read_or_exit(read: Callable[[], Artefact]) -> Artefact:
    try:
        return read()
    except ArtefactError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1 if error.retriable else 2) from error
