"""What all classes that hold a model have in common: it is read once, and loaded late."""

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


class HoldsModel:
    """A class of Seldon's with a model in it.

    Not a `SeldonComponent`: that has every optional method, and those who look whether a
    class has one (Seldon's server, the stream runtime) would find all of them.
    """

    _read: Callable[[], Artefact]
    _kind: Union[Type[Classifier], Type[Baseline]]

    def __init__(self) -> None:
        """Read the artefact, but load no interpreter.

        Seldon makes the object before it forks its servers: what is read here is fetched once,
        and an interpreter would not survive the fork.

        Raises:
            SystemExit: The artefact can't be had. In place of an exception of our own, because
                whoever starts a process for this class shows any other with its stack: status 2
                for what an operator must mend, 1 for what may pass.
        """
        self._artefact = _read_or_leave(type(self)._read)
        self._model: Optional[Model] = None
        self._loading = threading.Lock()

    def load(self) -> None:
        """Load the model, once; Seldon calls this in each of its server processes.

        Raises:
            SystemExit: It is no model of this kind. With status 3, at which Gunicorn, below
                Seldon's server, gives up; at any other it would try again for ever.
        """
        try:
            self._check(self._answers_to_nothing())
        except ArtefactError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(3) from error

    def _check(self, answers: Answers) -> None:
        """Look whether a model that answers so can do what the class needs.

        Raises:
            ArtefactError: It can't.
        """

    def health_status(self) -> List[str]:
        """Classify an empty image, so that a broken model is seen as unhealthy.

        Returns:
            The model's name.
        """
        self._answers_to_nothing()
        return [self._artefact.name]

    def _answers_to_nothing(self) -> Answers:
        return self._loaded().answers(np.zeros((1, SIDE, SIDE), np.uint8))

    def _loaded(self) -> Model:
        with self._loading:
            if self._model is None:
                self._model = type(self)._kind(self._artefact.content)
            return self._model


def tags_of(meta: Any) -> Dict[str, Any]:
    """The tags in a message's `meta`, none where there are none.

    Raises:
        BadPayload: `meta` or its tags are no objects.
    """
    tags = meta.get("tags") if isinstance(meta, dict) else meta
    if tags is None:
        return {}
    if not isinstance(tags, dict):
        raise BadPayload("bad_shape", f"meta and its tags are objects, not {tags!r:.40}")
    return tags


def parsed(message: Union[Dict[str, Any], SeldonMessage]) -> Any:
    """Take the payload out of Seldon's own JSON or protobuf.

    Raises:
        BadPayload: It can't be read; Seldon's own parser would answer with status 500.
    """
    is_proto = isinstance(message, SeldonMessage)
    extract = extract_request_parts if is_proto else extract_request_parts_json
    try:
        return extract(message)[0]
    except NameError as error:  # Seldon's parser names a class of TensorFlow's
        raise BadPayload("bad_value", "tftensor needs TensorFlow, which is not here") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadPayload("bad_shape", f"the message can't be read as arrays: {error}") from error


def _read_or_leave(read: Callable[[], Artefact]) -> Artefact:
    try:
        return read()
    except ArtefactError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1 if error.retriable else 2) from error
