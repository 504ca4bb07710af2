"""Answers messages with user models, by whatever Python and packages run this.

`python answers.py < MESSAGES > OUTCOMES`: a line of JSON for each class and message. It imports
nothing but the package and numpy, and runs on Python 3.8.
"""

from __future__ import annotations

import base64
import json
import sys
import warnings
from typing import Any

import numpy as np

from seldon_kafka import Response, UserModelError
from seldon_kafka.messages import Record, Reply
from seldon_kafka.pipeline.pipeline import Pipeline
from seldon_kafka.pipeline.user_model import UserModel


class Rows:
    """Row-wise, with class names and tags."""

    row_wise = True

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return np.asarray(X, dtype=float) * 2

    def class_names(self) -> list[str]:
        return ["a", "b"]


class Lists:
    """Answers with lists, tags and metrics."""

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:  # noqa: N803
        metrics = [{"type": "COUNTER", "key": "rows", "value": 1}]
        return Response([[1, 2.5], [3, 4]], tags={"names": list(names)}, metrics=metrics)


class Echo:
    """Gives back what it gets."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return X


class Words:
    """Answers with an object."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return {"type": type(X).__name__, "nested": {"values": [1, None, "ひ"]}}

    def tags(self) -> dict[str, Any]:
        return {"t": [1, {"u": True}]}


class Refuses:
    """Says that the sender is wrong."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        raise UserModelError("not like this", status_code=422, reason="odd", app_code="7")


class Raw:
    """Takes and gives whole messages."""

    def predict_raw(self, msg: Any) -> Any:
        if isinstance(msg, dict):
            return {"jsonData": {"keys": sorted(msg)}}
        reply = type(msg)()
        reply.strData = str(msg.WhichOneof("data_oneof"))
        reply.meta.tags["a"].list_value.values.add().number_value = 1.5
        return reply


MODELS: tuple[Any, ...] = (Rows, Lists, Echo, Words, Refuses, Raw)


def outcomes(model: Any, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What becomes of each message by itself."""
    found = []
    for number, message in enumerate(messages):
        value = None if message["value"] is None else base64.b64decode(message["value"])
        headers = [(name, base64.b64decode(header)) for name, header in message["headers"]]
        record = Record("in", 0, number, 1_700_000_000_000, b"k", value, headers)
        (outcome,) = Pipeline(UserModel(model()), 1_000_000).run([record]).outcomes
        if isinstance(outcome, Reply):
            said = {"value": base64.b64encode(outcome.value).decode("ascii")}
        else:
            said = {"reason": outcome.reason, "failed": str(outcome.failed)}
        described = [[name, (header or b"").decode()] for name, header in outcome.headers]
        found.append({**said, "headers": described})
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sent = json.load(sys.stdin)
    json.dump({model.__name__: outcomes(model, sent) for model in MODELS}, sys.stdout)
