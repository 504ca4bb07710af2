"""The runtime's answers: the only module here that knows the runtime's insides."""

from __future__ import annotations

import json
from collections.abc import Sequence

from seldon_kafka.errors import Retriable
from seldon_kafka.messages import Outcome, Record
from seldon_kafka.messages import Rejection as RuntimeRejection
from seldon_kafka.pipeline.load_class import ClassNotUsable, load_class
from seldon_kafka.pipeline.pipeline import Pipeline
from tests.compatibility.answer import (
    Answer,
    Crash,
    Rejection,
    Retry,
    json_reply,
    parsed,
    protobuf_reply,
)
from tests.compatibility.classes.case import Case
from tests.compatibility.payloads import Payload

_MAX_BYTES = 1_000_000


class Runtime:
    """One instance of a class behind the runtime's pipeline.

    Args:
        case: the class.
        batching: `KAFKA_BATCHING`.
    """

    def __init__(self, case: Case, batching: str = "auto") -> None:
        self._pipeline: Pipeline | None = None
        self._why_not = ""
        self._offset = 0
        try:
            served = load_class(case.class_name, _environment(case))
            self._pipeline = Pipeline(served, _MAX_BYTES, batching=batching)
        except Exception as error:
            self._why_not = repr(error)

    def answers(self, payloads: Sequence[Payload]) -> list[Answer]:
        """The answers to one batch."""
        if self._pipeline is None:
            return [Rejection("not served", self._why_not, True)] * len(payloads)
        return self._answers_to([self._record(payload) for payload in payloads])

    def _answers_to(self, records: Sequence[Record]) -> list[Answer]:
        """As a worker asks: after a temporary error one by one, and again for what is left."""
        assert self._pipeline is not None
        found: list[Answer] = []
        while len(found) < len(records):
            rest = records[len(found) :]
            try:
                found += [answer_of(outcome) for outcome in self._pipeline.run(rest).outcomes]
            except Retriable as error:
                if len(rest) == 1:
                    return [*found, Retry(str(error))]
                found += [answer for record in rest for answer in self._answers_to([record])]
            except Exception as error:
                return [*found, *[Crash(repr(error))] * len(rest)]
        return found

    def _record(self, payload: Payload) -> Record:
        self._offset += 1
        return Record(
            "in", 0, self._offset, 1_700_000_000_000, b"k", payload.value, payload.headers
        )


def answers(case: Case, payloads: Sequence[Payload], batching: str = "auto") -> list[Answer]:
    """The answers of a new instance to one batch."""
    return Runtime(case, batching).answers(payloads)


def _environment(case: Case) -> dict[str, str]:
    parameters = [
        {"name": name, "value": value, "type": kind} for name, value, kind in case.parameters
    ]
    return {
        "PREDICTIVE_UNIT_PARAMETERS": json.dumps(parameters),
        "SERVICE_TYPE": case.service_type,
    }


def refusal(case: Case) -> str | None:
    """Says why the runtime does not serve the class at all; None if it does."""
    try:
        load_class(case.class_name, _environment(case))
    except ClassNotUsable as error:
        return str(error)
    return None


def answer_of(outcome: Outcome) -> Answer:
    """The answer in what became of a record."""
    if isinstance(outcome, RuntimeRejection):
        return Rejection(outcome.reason, outcome.message, outcome.failed)
    names = {name for name, _ in outcome.headers}
    if "proto-name" in names:
        return protobuf_reply(parsed(outcome.value))
    return json_reply(outcome.value)
