"""Records and pipelines for tests."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

from seldon_kafka.messages import Headers, Outcome, Record, Rejection, Reply
from seldon_kafka.pipeline.pipeline import Pipeline
from seldon_kafka.pipeline.user_model import UserModel
from seldon_kafka.worker.in_flight import InFlight


def record(
    value: bytes | None,
    offset: int = 0,
    headers: Headers = (),
    key: bytes | None = b"key",
    partition: int = 3,
) -> Record:
    return Record("model_input", partition, offset, 1_700_000_000_000, key, value, headers)


def ndarray(rows: Any, offset: int = 0) -> Record:
    return record(json.dumps({"data": {"ndarray": rows}}).encode(), offset)


def answers(outcomes: list[Outcome]) -> list[Any]:
    """Replies as parsed JSON, rejections as their reason."""
    return [json.loads(item.value) if isinstance(item, Reply) else item.reason for item in outcomes]


def rejection(outcome: Outcome) -> Rejection:
    assert isinstance(outcome, Rejection)
    return outcome


def die_with(in_flight: InFlight, records: Sequence[Record]) -> None:
    """Ends as a worker does that dies while the class looks at these records."""
    with contextlib.suppress(_Death), in_flight.holding(records):
        raise _Death


class _Death(Exception):
    pass


def pipeline(instance: Any, **options: Any) -> Pipeline:
    """The pipeline of a class, which is loaded first."""
    if hasattr(instance, "load"):
        instance.load()
    return Pipeline(UserModel(instance), 100_000, **options)
