"""A failure over values that are missing or infinite counts as the sender's."""

from __future__ import annotations

import pytest

from tests.compatibility.answer import Rejection
from tests.compatibility.classes import CLASSES, Case
from tests.compatibility.payloads import PAYLOADS
from tests.compatibility.report import of_each_class
from tests.compatibility.runtime import answers

pytestmark = pytest.mark.filterwarnings("ignore")

# They answer with the values that they got, or fail.
_CLASSES = [
    case
    for case in CLASSES
    if case.name in ("StaticPredict", "Twice", "DeclaredTwice", "RaisesValueError")
]
_PAYLOADS = [payload for payload in PAYLOADS if payload.is_not_finite]


@pytest.mark.parametrize("case", of_each_class(_CLASSES))
def test_missing_and_infinite_values_are_the_senders(case: Case) -> None:
    found = {payload.name: answers(case, [payload])[0] for payload in _PAYLOADS}
    assert len(found) > 8
    wrong = {
        name: answer
        for name, answer in found.items()
        if not isinstance(answer, Rejection) or answer.failed or answer.reason != "bad_value"
    }
    assert not wrong


@pytest.mark.parametrize("case", of_each_class(_CLASSES[-1:]))
def test_other_failures_are_the_classs(case: Case) -> None:
    (payload,) = (payload for payload in PAYLOADS if payload.name == "ndarray of ints")
    (answer,) = answers(case, [payload])
    assert isinstance(answer, Rejection)
    assert answer.failed
    assert answer.reason == "predict_failed"
