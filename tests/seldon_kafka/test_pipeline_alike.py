"""Messages that are decoded together, in the pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from seldon_kafka.messages import Record, Reply
from seldon_kafka.pipeline.stack_check import NoCheck
from tests.support import classes
from tests.support.records import answers, ndarray, pipeline, record, rejection


def alike(numbers: list[int], offset: int) -> Record:
    """Returns a message that is long enough to be decoded together with others of its layout."""
    return ndarray([[number] * 100 for number in numbers], offset)


def why_one_is_rejected(instance: Any, place: int) -> str:
    """Returns why the model rejects the message at this index of twenty, and answers all others.

    They are sent twice, because they are decoded together once their layout is known.
    """
    under_test = pipeline(instance)
    records = [alike([n, 100], n) for n in range(20)]
    under_test.run(records)
    outcomes = under_test.run(records).outcomes
    assert sum(isinstance(outcome, Reply) for outcome in outcomes) == 19
    return rejection(outcomes[place]).message


def test_messages_decoded_together_reach_a_plain_class_as_with_seldon() -> None:
    seen: list[Any] = []

    class Plain(classes.Double):
        def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
            seen.append(X.dtype)
            return super().predict(X, names)

    under_test = pipeline(Plain())
    for _ in range(4):
        records = [alike([200, n], n) for n in range(10)]
        for n, answer in enumerate(answers(under_test.run(records).outcomes)):
            # In uint8, twice 200 would be 144.
            assert answer["data"]["ndarray"] == [[400] * 100, [2 * n] * 100]
    assert set(seen) == {np.dtype(np.int64)}


class Stacks(classes.Double):
    """Takes the payloads of many messages at once, except those with a 9."""

    def __init__(self) -> None:
        self.stacks: list[int] = []
        self.alone = 0

    def to_rows(self, payload: Any) -> Any:
        self.alone += 1
        if (payload == 9).any():
            raise BadRows("nine is not taken")
        return np.asarray(payload, dtype=np.int64)

    def stack_to_rows(self, stack: Any) -> Any:
        assert stack.dtype == np.uint8
        self.stacks.append(len(stack))
        if (stack == 9).any():
            raise BadRows("nine is not taken")
        return stack.reshape(-1, stack.shape[-1]).astype(np.int64)


class BadRows(Exception):
    status_code = 400


def test_a_class_turns_the_payloads_of_many_messages_into_rows_at_once() -> None:
    stacks = Stacks()
    under_test = pipeline(stacks, check=NoCheck())
    records = [alike([n, 100], n) for n in range(20, 30)]
    under_test.run(records)
    stacks.alone, stacks.stacks = 0, []
    found = answers(under_test.run(records).outcomes)
    assert [answer["data"]["ndarray"][0][0] for answer in found] == [2 * n for n in range(20, 30)]
    assert (stacks.stacks, stacks.alone) == ([10], 0)


def test_floats_reach_a_class_as_floats_from_every_message() -> None:
    """On a scale from 0 to 1, a 1 equals a 255 on the other scale, so integers would be wrong."""
    seen: list[Any] = []

    class Scaled(Stacks):
        def to_rows(self, payload: Any) -> Any:
            seen.append(payload.dtype)
            return super().to_rows(payload)

    under_test = pipeline(Scaled(), check=NoCheck())
    document = {"name": "x", "shape": [1, 300], "datatype": "FP32"}
    value = orjson.dumps({"inputs": [{**document, "data": [1, 0, 1] * 100}]})
    for n in range(4):
        under_test.run([record(value, offset=n), record(value, offset=n + 1)])
    assert seen == [np.dtype(np.float32)] * 8


def test_payloads_that_cannot_be_stacked_are_found_and_the_others_answered() -> None:
    assert why_one_is_rejected(Stacks(), 9) == "nine is not taken"


def test_a_class_called_message_by_message_gets_each_as_it_was_sent() -> None:
    under_test = pipeline(classes.Double(), batching="off")
    records = [alike([200, n], n) for n in range(10)]
    for _ in range(2):
        found = answers(under_test.run(records).outcomes)
    assert [answer["data"]["ndarray"][1][0] for answer in found] == [2 * n for n in range(10)]


def test_the_message_that_makes_the_class_raise_is_found_among_similar_ones() -> None:
    class Picky(classes.Double):
        def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
            if (np.asarray(X)[:, 0] == 7).any():
                raise ValueError("not seven")
            return super().predict(X, names)

    assert why_one_is_rejected(Picky(), 7) == "ValueError: not seven"
