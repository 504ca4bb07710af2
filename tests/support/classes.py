"""Wrapper classes that the tests serve: none of them knows of images."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from seldon_core.user_model import SeldonComponent, SeldonResponse


class Double:
    """Only `predict`: twice the rows."""

    row_wise = True

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return np.asarray(X) * 2


class Tagged(SeldonComponent):  # type: ignore[misc]
    """Tags by row and for all, class names, and a count of its calls."""

    row_wise = True
    row_tags = ("parity",)
    constant_tags: tuple[str, ...] = ("model",)

    def __init__(self, model: str = "tagged") -> None:
        super().__init__()
        self.model = model
        self.calls: list[int] = []

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        rows = np.asarray(X, dtype=np.float64)
        self.calls.append(len(rows))
        parity = ["even" if row[0] % 2 == 0 else "odd" for row in rows]
        return SeldonResponse(rows[:, :2], tags={"parity": parity, "model": self.model})

    def class_names(self) -> list[str]:
        return ["first", "second"]


class Total:
    """Answers one row however many it gets: not a function from rows to rows."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return np.asarray(X).sum(axis=0, keepdims=True)


class Plain:
    """Twice the rows, which it does not declare."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return np.asarray(X) * 2


class Centred:
    """Takes the mean of the batch off: stacking changes its answers."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return X - X.mean()


class TakesMeta:
    """Answers with the sender's own tag."""

    def predict(self, X: Any, names: Any, meta: dict[str, Any]) -> Any:  # noqa: N803
        return SeldonResponse(np.asarray(X), tags={"from": (meta or {}).get("puid", "?")})


class Raw:
    """Composes whole replies."""

    def predict_raw(self, msg: Any) -> Any:
        return {"strData": "raw", "meta": {"tags": {"keys": sorted(msg)}}}


class Moody:
    """Fails in the way that the first value of a row asks for.

    666 raises, 500 ends the process, 505 kills it, 777 hangs, 13 answers NaN,
    503 asks to try again while the file that `MOODY_DOWN` names is there.
    """

    row_wise = True

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        first = np.asarray(X)[:, 0]
        if (first == 666).any():
            raise ValueError("the number of the beast")
        if (first == 500).any():
            os._exit(3)
        if (first == 505).any():
            os.abort()
        if (first == 777).any():
            time.sleep(3600)
        down = os.environ.get("MOODY_DOWN")
        if (first == 503).any() and down and Path(down).exists():
            raise ConnectionError("the feature store is away")
        answer = np.asarray(X, dtype=np.float64) + 1
        answer[first == 13] = np.nan
        return answer


class Broken:
    """Fails at everything."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        raise RuntimeError("a bad deployment")


class Slow:
    """Takes meta, so that it is called message by message, and its time over each."""

    def predict(self, X: Any, names: Any, meta: Any) -> Any:  # noqa: N803
        time.sleep(float(os.environ.get("SLOW_S", "0.05")))
        return np.asarray(X)


class Undescribing:
    """Has no words for any payload."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return np.asarray(X)

    def describe(self, payload: Any) -> str:
        raise RuntimeError("no words")


class Scaled:
    """Scales by the largest value of the whole call."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return X / np.abs(X).max()


class MeanTaken:
    """Takes away the mean of the whole call."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return X - X.mean()


class MinMaxTaken:
    """Scales to the range of the whole call."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return (X - X.min()) / max(1e-9, X.max() - X.min())


class AnswersNan:
    """Answers NaN to everything."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return X * float("nan")
