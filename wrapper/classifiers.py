"""The classes that Seldon serves: the network, and the baseline to compare it with."""

from __future__ import annotations

import functools
import sys
import threading
from typing import Any, Callable, Dict, Iterable, List, Optional, Type, Union

import numpy as np
from numpy.typing import NDArray
from seldon_core.user_model import SeldonNotImplementedError, SeldonResponse
from seldon_core.utils import extract_request_parts_json

from model.artefacts import Artefact, ArtefactError, read_artefact
from model.chosen import chosen_artefact
from model.labels import HIRAGANA, ROMAJI
from model.loader import BASELINE, SIDE, Baseline, Classifier
from wrapper import other_json
from wrapper.half_blocks import draw
from wrapper.payload import BadPayload, stack_to_rows, to_rows

DECIMALS = 6
"""Digits behind the point of probabilities: a tenth of what replies may differ by, and shorter."""

_LABELS = np.array(HIRAGANA)


class ImageClassifier:
    """What the classes have in common: payloads in, probabilities and tags out.

    Not a `SeldonComponent`: that has every optional method, and those who look whether a
    class has one (Seldon's server, the stream runtime) would find all of them.

    Attributes:
        row_tags: Tags that have one entry for each row.
    """

    row_tags = ("label", "confidence", "abstain")

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
        self._classifier: Optional[Union[Classifier, Baseline]] = None
        self._loading = threading.Lock()

    def load(self) -> None:
        """Load the model, once; Seldon calls this in each of its server processes.

        Raises:
            model.artefacts.ArtefactError: It is no model of this kind.
        """
        self._loaded()

    def predict(self, X: Any, names: Optional[Iterable[str]] = None) -> SeldonResponse:  # noqa: N803
        """Classify images.

        Args:
            X: Anything that `to_rows` takes.
            names: Feature names; of no use here.

        Returns:
            Probabilities float32 (n, 10) in the order of `class_names`, rounded to
            `DECIMALS`, with the tags
            `label` (hiragana), `confidence` (the largest probability) and `abstain`
            (confidence below the artefact's `abstain_below`) for each row, and `model`.

        Raises:
            BadPayload: `X` can't be taken.
        """
        rows = to_rows(X)
        probabilities = np.round(self._loaded().probabilities(rows), DECIMALS)
        confidence = np.round(probabilities.max(axis=1).astype(np.float64), DECIMALS)
        return SeldonResponse(
            probabilities,
            tags={
                "label": _LABELS[probabilities.argmax(axis=1)].tolist(),
                "confidence": confidence.tolist(),
                "abstain": (confidence < self._artefact.abstain_below).tolist(),
                "model": self._artefact.name,
            },
        )

    def predict_raw(self, msg: Any) -> Dict[str, Any]:
        """Answer Open Inference (V2) and TensorFlow Serving JSON.

        Args:
            msg: A message as Seldon's server got it: a parsed JSON, or a `SeldonMessage`.

        Returns:
            The reply, in the format of the message.

        Raises:
            BadPayload: The message can't be answered. Seldon's own messages are looked
                through for this too, because its parser would answer ragged rows with
                status 500.
            SeldonNotImplementedError: The message is Seldon's; its server goes on with it.
        """
        if not isinstance(msg, dict):
            raise SeldonNotImplementedError("only JSON is taken raw")
        payload = other_json.payload_of(msg)
        if payload is None:
            _check_parses(msg)
            raise SeldonNotImplementedError("a Seldon message")
        return other_json.reply_to(msg, self.predict(payload), self.class_names(), self.row_tags)

    def to_rows(self, payload: Any) -> NDArray[np.uint8]:
        """Turn a payload into uint8 (n, 28, 28), which may be stacked with others' rows.

        Raises:
            BadPayload: It can't be taken.
        """
        return to_rows(payload)

    def stack_to_rows(self, stack: Any) -> NDArray[np.uint8]:
        """Turn the payloads of many messages into uint8 (n, 28, 28), as `to_rows` does each.

        Raises:
            BadPayload: One of them can't be taken.
        """
        return stack_to_rows(stack)

    def describe(self, payload: Any) -> str:
        """Draw a payload's first image in half-block characters, for operators' eyes.

        Returns:
            14 lines of 28 characters and one line that says how many images there are;
            one line that says what is wrong for a payload that can't be taken.
        """
        try:
            rows = to_rows(payload)
        except BadPayload as error:
            return f"no image: {error}"
        return f"{draw(rows[0])}\n1 of {len(rows)} image(s) of 28 x 28"

    def class_names(self) -> List[str]:
        """The classes in romaji, in the order of the probabilities."""
        return list(ROMAJI)

    def health_status(self) -> List[str]:
        """Classify an empty image, so that a broken model is seen as unhealthy.

        Returns:
            The model's name.
        """
        self._loaded().probabilities(np.zeros((1, SIDE, SIDE), np.uint8))
        return [self._artefact.name]

    def init_metadata(self) -> Dict[str, Any]:
        """What Seldon's `/metadata` tells about this model; Seldon asks before it calls `load`."""
        pixels = {"messagetype": "tensor", "schema": {"names": [], "shape": [-1, SIDE, SIDE]}}
        answer = {"messagetype": "tensor", "schema": {"names": list(ROMAJI), "shape": [-1, 10]}}
        return {
            "name": type(self).__name__,
            "versions": [self._artefact.name],
            "platform": "seldon",
            "inputs": [pixels],
            "outputs": [answer],
            "custom": {
                "labels": "".join(HIRAGANA),
                "variant": self._artefact.variant,
                "abstain_below": str(self._artefact.abstain_below),
            },
        }

    def _loaded(self) -> Union[Classifier, Baseline]:
        with self._loading:
            if self._classifier is None:
                self._classifier = type(self)._kind(self._artefact.content)
            return self._classifier


class KmnistClassifier(ImageClassifier):
    """Reads cursive hiragana with the network that `MODEL_VARIANT` or `MODEL_URI` names."""

    _read = staticmethod(chosen_artefact)
    _kind = Classifier


class KmnistBaseline(ImageClassifier):
    """Reads cursive hiragana with the scikit-learn baseline."""

    _read = staticmethod(functools.partial(read_artefact, BASELINE))
    _kind = Baseline


def _read_or_leave(read: Callable[[], Artefact]) -> Artefact:
    try:
        return read()
    except ArtefactError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1 if error.retriable else 2) from error


def _check_parses(message: Dict[str, Any]) -> None:
    try:
        extract_request_parts_json(message)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadPayload("bad_shape", f"the message can't be read as arrays: {error}") from error
