"""Derives labels from a model's answers, and flags for unreliable answers and for outliers."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray

from model.artefacts import Artefact
from model.labels import HIRAGANA
from model.loader import Answers

DECIMALS = 6
"""Decimal digits of probabilities and scores. More digits would say nothing, because two
replies to the same image may differ by 1e-5."""

ROW_TAGS = ("label", "confidence", "abstain", "outlier", "outlier_score")
"""Tags that have one entry for each row; the last two only from a model that detects outliers."""

_LABELS = np.array(HIRAGANA)


class Judgement(NamedTuple):
    """Rounded answers to n images, and the labels and flags that follow from them.

    Attributes:
        probabilities: float32 (n, 10), rounded to `DECIMALS`.
        best: int64 (n,), index of the most probable class.
        confidence: float64 (n,), the probability of the class in `best`.
        abstain: bool (n,), whether the confidence is below the artefact's `abstain_below`.
        outlier_score: float64 (n,), from 0 to 1, the certainty that an image is no kuzushiji; None
            from a model that does not detect outliers.
        outlier: bool (n,), whether `outlier_score` is above the artefact's `outlier_above`; None
            from a model that does not detect outliers.
    """

    probabilities: NDArray[np.float32]
    best: NDArray[np.int64]
    confidence: NDArray[np.float64]
    abstain: NDArray[np.bool_]
    outlier_score: Optional[NDArray[np.float64]]
    outlier: Optional[NDArray[np.bool_]]

    def tags(self) -> Dict[str, Any]:
        """Returns the judgement as tags, by name in `ROW_TAGS`."""
        return {
            "label": _LABELS[self.best].tolist(),
            "confidence": self.confidence.tolist(),
            "abstain": self.abstain.tolist(),
            **self.outlier_tags(),
        }

    def outlier_tags(self) -> Dict[str, Any]:
        """Returns the tags `outlier` and `outlier_score`; none without outlier scores."""
        if self.outlier is None or self.outlier_score is None:
            return {}
        return {"outlier": self.outlier.tolist(), "outlier_score": self.outlier_score.tolist()}


def judge(answers: Answers, artefact: Artefact) -> Judgement:
    """Judges a model's answers by the thresholds of its artefact.

    Args:
        answers: the model's answers to n images.
        artefact: the model's artefact.
    """
    probabilities = answers.probabilities.round(DECIMALS)
    # A rounded float32 would have more digits than `DECIMALS` in JSON; a rounded float64 has not.
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
