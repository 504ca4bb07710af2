"""The base of the Seldon classes with a model, and functions to read Seldon's messages."""

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

    Seldon creates the object before it forks its server processes. So the constructor reads the
    artefact, once for all processes. It does not load the model, because an interpreter of
    TensorFlow Lite would not survive the fork.

    Seldon's server and the stream runtime check which optional methods a class has. So this class
    does not inherit from `SeldonComponent`, which has all of them.

    Raises:
        SystemExit: the artefact cannot be read. The status is 2 for an error that an operator must
            correct, and 1 for a temporary one. Seldon's server and the stream runtime would show
            other exceptions with a stack trace.
    """

    _read_artefact: Callable[[], Artefact]
    _model_class: Union[Type[Classifier], Type[Baseline]]

    def __init__(self) -> None:
        self._artefact = _read_or_exit(type(self)._read_artefact)
        self._model: Optional[Model] = None
        self._loading = threading.Lock()

    def load(self) -> None:
        """Loads the model if it is not loaded yet, and checks that it answers.

        Seldon calls this method in each of its server processes.

        Raises:
            SystemExit: the class cannot use the model. The status is 3, at which Gunicorn in
                Seldon's server gives up. With any other status Gunicorn would retry forever.
        """
        try:
            self._check(self._answer_to_blank())
        except ArtefactError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(3) from error

    def _check(self, answers: Answers) -> None:
        """Checks that the class can use a model that gives these answers; subclasses override it.

        Raises:
            ArtefactError: the class cannot use the model.
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
                self._model = type(self)._model_class(self._artefact.content)
            return self._model


def tags_of(meta: Any) -> Dict[str, Any]:
    """Returns the tags in a message's `meta`; none if `meta` or its tags are missing.

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
    """Returns the payload of Seldon JSON or of Seldon protobuf.

    Raises:
        BadPayload: the message cannot be read. Seldon's server would answer it with status 500
            instead of 400.
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
