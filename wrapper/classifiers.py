"""The classes that Seldon serves: the network, and the baseline for comparison."""

from __future__ import annotations

import functools
from typing import Any, Dict, Iterable, List, Optional

import numpy as np
from numpy.typing import NDArray
from seldon_core.user_model import SeldonNotImplementedError, SeldonResponse

from model.artefacts import read_artefact
from model.chosen import chosen_artefact
from model.labels import HIRAGANA, ROMAJI
from model.loader import BASELINE, SIDE, Baseline, Classifier
from wrapper import other_json
from wrapper.feedback import FeedbackReceiver
from wrapper.half_blocks import draw
from wrapper.judgement import ROW_TAGS, judge
from wrapper.loaded import ModelHolder, parse_payload
from wrapper.metrics import ModelMetrics
from wrapper.payload import BadPayload, stack_to_rows, to_rows


class ImageClassifier(FeedbackReceiver, ModelHolder):
    """Base of the classifiers: answers images with probabilities and tags.

    The metrics of `wrapper.metrics` count the answers.

    Attributes:
        row_tags: tags that have one entry for each row.
        constant_tags: tags that are the same in every answer.
    """

    row_tags = ROW_TAGS
    constant_tags = ("model",)

    def __init__(self) -> None:
        super().__init__()
        self._metrics = ModelMetrics(self._artefact)

    def predict(self, X: Any, names: Optional[Iterable[str]] = None) -> SeldonResponse:  # noqa: N803
        """Classifies images.

        Args:
            X: any payload that `to_rows` accepts.
            names: feature names, which are not used.

        Returns:
            Probabilities, float32 (n, 10), in the order of `class_names`, rounded to
            `wrapper.judgement.DECIMALS`. The tags for each row are `label` (hiragana), `confidence`
            (the largest probability) and `abstain` (confidence below the artefact's
            `abstain_below`). A model that detects outliers adds `outlier` (score above
            `outlier_above`) and `outlier_score` (0 to 1). The tag `model` is the artefact's name.

        Raises:
            BadPayload: `X` is not valid.
        """
        rows = to_rows(X)
        judgement = judge(self._loaded().answers(rows), self._artefact)
        self._metrics.count(rows, judgement)
        return SeldonResponse(
            judgement.probabilities, tags={**judgement.tags(), "model": self._artefact.name}
        )

    def predict_raw(self, msg: Any) -> Dict[str, Any]:
        """Answers Open Inference (V2) and TensorFlow Serving JSON.

        Args:
            msg: a message as Seldon's server received it: parsed JSON, or a `SeldonMessage`.

        Returns:
            The reply, in the format of the message.

        Raises:
            BadPayload: the JSON is not valid. Seldon JSON is checked too, because Seldon's parser
                would answer ragged rows with status 500.
            SeldonNotImplementedError: the message is valid Seldon JSON, any protobuf, or JSON that
                is no object. Seldon's server then parses it and calls `predict`.
        """
        if not isinstance(msg, dict):
            raise SeldonNotImplementedError("only JSON objects are read here")
        payload = other_json.payload_of(msg)
        if payload is None:
            parse_payload(msg)
            raise SeldonNotImplementedError("a Seldon message")
        return other_json.reply_to(msg, self.predict(payload), self.class_names(), self.row_tags)

    def to_rows(self, payload: Any) -> NDArray[np.uint8]:
        """Converts a payload to rows, uint8 (n, 28, 28).

        The runtime may stack them with the rows of other messages.

        Raises:
            BadPayload: the payload is not valid.
        """
        return to_rows(payload)

    def stack_to_rows(self, stack: Any) -> NDArray[np.uint8]:
        """Converts the payloads of many messages to the rows of `to_rows`, uint8 (n, 28, 28).

        Raises:
            BadPayload: a payload is not valid, or the messages have different numbers of images.
        """
        return stack_to_rows(stack)

    def describe(self, payload: Any) -> str:
        """Draws a payload's first image in half-block characters, for operators.

        Returns:
            14 lines of 28 characters, and one line with the number of images; for a payload that is
            not valid, one line with the error.
        """
        try:
            rows = to_rows(payload)
        except BadPayload as error:
            return f"no image: {error}"
        return f"{draw(rows[0])}\n1 of {len(rows)} image(s) of 28 x 28"

    def class_names(self) -> List[str]:
        """Returns the names of the classes in romaji, in the order of the probabilities."""
        return list(ROMAJI)

    def init_metadata(self) -> Dict[str, Any]:
        """Returns the model's metadata for Seldon's `/metadata`; Seldon reads it before `load`."""
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
                "outlier_above": str(self._artefact.outlier_above),
            },
        }


class KmnistClassifier(ImageClassifier):
    """Classifies cursive hiragana with the network that `MODEL_VARIANT` or `MODEL_URI` names."""

    _read_artefact = staticmethod(chosen_artefact)
    _model_class = Classifier


class KmnistBaseline(ImageClassifier):
    """Classifies cursive hiragana with the scikit-learn baseline."""

    _read_artefact = staticmethod(functools.partial(read_artefact, BASELINE))
    _model_class = Baseline
