"""The classes that Seldon serves: the network, and the baseline to compare it with."""

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
from wrapper.feedback import TakesFeedback
from wrapper.half_blocks import draw
from wrapper.judgement import ROW_TAGS, judge
from wrapper.loaded import HoldsModel, parsed
from wrapper.payload import BadPayload, stack_to_rows, to_rows
from wrapper.watch import Watch


class ImageClassifier(TakesFeedback, HoldsModel):
    """What the classes have in common: payloads in, probabilities and tags out.

    Attributes:
        row_tags: Tags that have one entry for each row.
        constant_tags: Tags that are the same in every answer.
    """

    row_tags = ROW_TAGS
    constant_tags = ("model",)

    def __init__(self) -> None:
        """As `HoldsModel`; what is answered is counted (`wrapper.watch`)."""
        super().__init__()
        self._watch = Watch(self._artefact)

    def predict(self, X: Any, names: Optional[Iterable[str]] = None) -> SeldonResponse:  # noqa: N803
        """Classify images.

        Args:
            X: Anything that `to_rows` takes.
            names: Feature names; of no use here.

        Returns:
            Probabilities float32 (n, 10) in the order of `class_names`, rounded to
            `wrapper.judgement.DECIMALS`, with the tags
            `label` (hiragana), `confidence` (the largest probability) and `abstain`
            (confidence below the artefact's `abstain_below`) for each row, of a model that
            tells outliers also `outlier` (score above `outlier_above`) and `outlier_score`
            (0 to 1), and `model`.

        Raises:
            BadPayload: `X` can't be taken.
        """
        rows = to_rows(X)
        judgement = judge(self._loaded().answers(rows), self._artefact)
        self._watch.count(rows, judgement)
        return SeldonResponse(
            judgement.probabilities, tags={**judgement.tags(), "model": self._artefact.name}
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
            parsed(msg)
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
                "outlier_above": str(self._artefact.outlier_above),
            },
        }


class KmnistClassifier(ImageClassifier):
    """Reads cursive hiragana with the network that `MODEL_VARIANT` or `MODEL_URI` names."""

    _read = staticmethod(chosen_artefact)
    _kind = Classifier


class KmnistBaseline(ImageClassifier):
    """Reads cursive hiragana with the scikit-learn baseline."""

    _read = staticmethod(functools.partial(read_artefact, BASELINE))
    _kind = Baseline
