"""Answers with heat maps: which parts of an image speak for its label, and which against it."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Optional

import numpy as np
from seldon_core.user_model import SeldonNotImplementedError, SeldonResponse

from model.chosen import chosen_artefact
from model.explanation import occlusion
from model.labels import HIRAGANA, ROMAJI
from model.loader import Classifier
from wrapper.judgement import judge
from wrapper.loaded import HoldsModel, parsed, tags_of
from wrapper.payload import BadPayload, to_rows

MOST = 64
"""Images that are explained in one request: each costs as much as 257 answers."""

_DECIMALS = 4


class KmnistExplainer(HoldsModel):
    """A node of type MODEL, in a deployment of its own beside the classifier's.

    It can't stand in the field `explainer` of a SeldonDeployment: Seldon's operator 1.17.1
    starts what is there with the command line of its Alibi server and calls
    `/api/v1.0/explain`, which Seldon's Python server does not have.
    """

    _read = staticmethod(chosen_artefact)
    _kind = Classifier

    def predict(
        self,
        X: Any,  # noqa: N803
        names: Optional[Iterable[str]] = None,
        meta: Optional[Dict[str, Any]] = None,
    ) -> SeldonResponse:
        """Explain the answers to images (`model.explanation.occlusion`).

        Args:
            X: Anything that `to_rows` takes, at most `MOST` images.
            names: Feature names; of no use here.
            meta: The message's; its tag `explain` names a class, in romaji or hiragana, to be
                explained in place of the most probable one.

        Returns:
            float32 (n, 28, 28), in log-odds: above 0 what speaks for the class, below what
            speaks against it. The tags are the classifier's, and `explained`, the class of
            each image.

        Raises:
            BadPayload: `X` can't be taken, or there is no such class.
        """
        rows = to_rows(X)
        if len(rows) > MOST:
            raise BadPayload("unsupported", f"at most {MOST} images are explained at once")
        wanted = tags_of(meta).get("explain")
        ask = self._loaded()
        judgement = judge(ask.answers(rows), self._artefact)
        targets = judgement.best.tolist() if wanted is None else [class_of(wanted)] * len(rows)
        heat = [occlusion(ask.probabilities, row, target) for row, target in zip(rows, targets)]
        tags = {
            **judgement.tags(),
            "explained": [HIRAGANA[target] for target in targets],
            "model": self._artefact.name,
        }
        return SeldonResponse(np.round(np.stack(heat), _DECIMALS), tags=tags)

    def predict_raw(self, msg: Any) -> Dict[str, Any]:
        """Look through a message before Seldon's parser does.

        Raises:
            BadPayload: It can't be read.
            SeldonNotImplementedError: It can; Seldon's server goes on with it.
        """
        if isinstance(msg, dict):
            parsed(msg)
        raise SeldonNotImplementedError("a Seldon message")

    def class_names(self) -> List[str]:
        """None: columns are pixels."""
        return []


def class_of(name: Any) -> int:
    """The class of a name in romaji or hiragana.

    Raises:
        BadPayload: There is none.
    """
    for names in (ROMAJI, HIRAGANA):
        if name in names:
            return names.index(name)
    raise BadPayload("unsupported", f"no class is called {name!r}: there are {', '.join(ROMAJI)}")
