"""What the harness takes for the right answer."""

from __future__ import annotations

import numpy as np
import pytest

from kafka.messages import Reply, header
from kafka.pipeline import Pipeline
from kafka.served_class import ServedClass
from tests.faults import images
from tests.kafka.helpers import record
from wrapper import KmnistClassifier


def replies(numbers: range) -> list[Reply]:
    """The replies to messages of the load, answered in one batch."""
    classifier = KmnistClassifier()
    classifier.load()
    coded = [images.message(number) for number in numbers]
    records = [record(each.value, n, each.headers) for n, each in enumerate(coded)]
    outcomes = Pipeline(ServedClass(classifier), 1_000_000).run(records).outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Reply)]


def is_answer(reply: Reply, shown: str) -> bool:
    return images.is_answer(reply.value, header(reply.headers, "proto-name"), shown)


def test_each_message_of_the_load_has_its_answer_and_no_other() -> None:
    numbers = range(2 * len(images.MIX))
    found = replies(numbers)
    assert len(found) == len(numbers)
    for number, reply in zip(numbers, found, strict=True):
        assert is_answer(reply, images.message(number).shown)
        assert not is_answer(reply, images.message(number + 1).shown)
        first, count = images.message(number).shown.split("+")
        assert not is_answer(reply, f"{int(first) + 1}+{count}")
        assert not is_answer(reply, f"{first}+{int(count) + 1}")


def test_an_answer_that_is_off_by_little_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    (reply,) = replies(range(1))
    shown = images.message(0).shown
    assert is_answer(reply, shown)
    off = images.answers() + np.float64(1e-4)
    monkeypatch.setattr(images, "answers", lambda: off)
    assert not is_answer(reply, shown)
    assert not is_answer(reply._replace(value=b"nonsense"), shown)
