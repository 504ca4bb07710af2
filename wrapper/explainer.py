"""Answers with heat maps, which show the parts of an image that support or oppose its label."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Optional

import numpy as np
from seldon_core.user_model import SeldonNotImplementedError, SeldonResponse

from model.chosen import chosen_artefact
from model.explanation import occlusion
from model.labels import HIRAGANA, ROMAJI
from model.loader import Classifier
from wrapper.judgement import judge
from wrapper.loaded import ModelHolder, parse_payload, tags_of
from wrapper.payload import BadPayload, to_rows

MAX_IMAGES = 64
"""Maximum number of images in a message: to explain an image costs as much as 257 answers."""

_DECIMALS = 4


class KmnistExplainer(ModelHolder):
    """Explains answers, as a node of type MODEL in a deployment of its own.

    The class cannot be the `explainer` of a SeldonDeployment. Seldon's operator 1.17.1 starts
    explainers with the command line of Seldon's Alibi server, and calls `/api/v1.0/explain`, which
    Seldon's Python server does not have.
    """

    _read_artefact = staticmethod(chosen_artefact)
    _model_class = Classifier

    def predict(
        self,
        X: Any,  # noqa: N803
        names: Optional[Iterable[str]] = None,
        meta: Optional[Dict[str, Any]] = None,
    ) -> SeldonResponse:
        """Explains the answers to images (`model.explanation.occlusion`).

        Args:
            X: any payload that `to_rows` accepts, with at most `MAX_IMAGES` images.
            names: feature names, which are not used.
            meta: the message's `meta`; its tag `explain` names the class to explain, in romaji or
                hiragana, instead of the most probable class.

        Returns:
            float32 (n, 28, 28), in log-odds: values above 0 support the class, values below 0
            oppose it. The tags are those of `KmnistClassifier`, and `explained`: for each image,
            the hiragana of the explained class.

        Raises:
            BadPayload: `X` is not valid or has too many images, or the tag names no class.
        """
        rows = to_rows(X)
        if len(rows) > MAX_IMAGES:
            raise BadPayload("unsupported", f"at most {MAX_IMAGES} images are explained at once")
        wanted = tags_of(meta).get("explain")
        model = self._loaded()
        judgement = judge(model.answers(rows), self._artefact)
        targets = judgement.best.tolist() if wanted is None else [class_of(wanted)] * len(rows)
        heat = [occlusion(model.probabilities, row, target) for row, target in zip(rows, targets)]
        tags = {
            **judgement.tags(),
            "explained": [HIRAGANA[target] for target in targets],
            "model": self._artefact.name,
        }
        return SeldonResponse(np.round(np.stack(heat), _DECIMALS), tags=tags)

    def predict_raw(self, msg: Any) -> Dict[str, Any]:
        """Checks Seldon JSON, because Seldon's parser would answer ragged rows with status 500.

        Raises:
            BadPayload: the JSON is not valid.
            SeldonNotImplementedError: the message is valid Seldon JSON, any protobuf, or JSON that
                is no object. Seldon's server then parses it and calls `predict`.
        """
        if isinstance(msg, dict):
            parse_payload(msg)
        raise SeldonNotImplementedError("a Seldon message")

    def class_names(self) -> List[str]:
        """Returns no names, because the columns are pixels."""
        return []


def class_of(name: Any) -> int:
    """Returns the index of the class with this name, in romaji or hiragana.

    Raises:
        BadPayload: no class has this name.
    """
    for names in (ROMAJI, HIRAGANA):
        if name in names:
            return names.index(name)
    raise BadPayload("unsupported", f"no class is called {name!r}: use one of {', '.join(ROMAJI)}")
