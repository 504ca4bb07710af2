"""What a model's answers come to: labels, and whether to rely on them."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray

from model.artefacts import Artefact
from model.labels import HIRAGANA
from model.loader import Answers

DECIMALS = 6
"""Digits behind the point of probabilities: a tenth of what replies may differ by, and shorter."""

ROW_TAGS = ("label", "confidence", "abstain", "outlier", "outlier_score")
"""Tags that have one entry for each row; the last two only from a model that tells outliers."""

_LABELS = np.array(HIRAGANA)


class Judgement(NamedTuple):
    """Answers, rounded, and what follows from them.

    Attributes:
        probabilities: float32 (n, 10), rounded to `DECIMALS`.
        best: int64 (n,), the most probable class.
        confidence: float64 (n,), its probability.
        abstain: bool (n,), the confidence is below the artefact's `abstain_below`.
        outlier_score: float64 (n,), from 0 to 1, how surely it is no kuzushiji; None of a
            model that can't tell.
        outlier: bool (n,), the score is above the artefact's `outlier_above`; None likewise.
    """

    probabilities: NDArray[np.float32]
    best: NDArray[np.int64]
    confidence: NDArray[np.float64]
    abstain: NDArray[np.bool_]
    outlier_score: Optional[NDArray[np.float64]]
    outlier: Optional[NDArray[np.bool_]]

    def tags(self) -> Dict[str, Any]:
        """The judgement as the `ROW_TAGS` that it has."""
        return {
            "label": _LABELS[self.best].tolist(),
            "confidence": self.confidence.tolist(),
            "abstain": self.abstain.tolist(),
            **self.outlier_tags(),
        }

    def outlier_tags(self) -> Dict[str, Any]:
        """The tags `outlier` and `outlier_score`; none of a model that can't tell."""
        if self.outlier is None or self.outlier_score is None:
            return {}
        return {"outlier": self.outlier.tolist(), "outlier_score": self.outlier_score.tolist()}


def judge(answers: Answers, artefact: Artefact) -> Judgement:
    """Judge a model's answers by its own thresholds.

    Args:
        answers: To n images.
        artefact: The model's.
    """
    probabilities = answers.probabilities.round(DECIMALS)
    # As numbers of 64 bits they are as short as they are rounded.
    confidence = probabilities.max(axis=1).astype(np.float64).round(DECIMALS)
    score: Optional[NDArray[np.float64]] = None
    if answers.outlier is not None:
        score = answers.outlier.astype(np.float64).round(DECIMALS)
    return Judgement(
        probabilities,
        probabilities.argmax(axis=1),
        confidence,
        confidence < artefact.abstain_below,
        score,
        None if score is None else score > artefact.outlier_above,
    )
