"""Every intended difference is one: its example shows it."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.compatibility.classes import CLASSES, Case
from tests.compatibility.classes.unservable import UNSERVABLE
from tests.compatibility.comparison import same
from tests.compatibility.differences import DIFFERENCES, Difference, verdict
from tests.compatibility.pairs import expectations
from tests.compatibility.payloads import PAYLOADS, Payload
from tests.compatibility.report import of_each_class
from tests.compatibility.runtime import answers, refusal

pytestmark = pytest.mark.filterwarnings("ignore")

_CASES = {case.name: case for case in CLASSES}
_PAYLOADS = {payload.name: payload for payload in PAYLOADS}
_REFUSED = "refused-classes"


def _example(names: tuple[str, str]) -> tuple[Case, Payload]:
    class_name, payload_name = names
    return _CASES[class_name], _PAYLOADS[payload_name]


@pytest.mark.parametrize(
    "difference",
    [
        pytest.param(difference, id=difference.id)
        for difference in DIFFERENCES
        if difference.id != _REFUSED
    ],
)
def test_the_example_of_a_difference_shows_it(difference: Difference) -> None:
    if difference.needs and find_spec(difference.needs) is None:
        pytest.skip(f"{difference.needs} is not installed")
    case, payload = _example(difference.example)
    (found,) = answers(case, [payload])
    assert not same(expectations(case).of_seldon(payload), found)
    reason = verdict(expectations(case).alone(payload), found)
    # An id is the only difference that is left out before an answer is judged.
    assert reason == ("" if difference.id == "made-puid" else difference.id)


@pytest.mark.parametrize("case", of_each_class(UNSERVABLE))
def test_a_class_that_answers_nothing_is_refused(case: Case) -> None:
    assert refusal(case)


def test_ids_differ_and_names_exist() -> None:
    assert len({entry.id for entry in DIFFERENCES}) == len(DIFFERENCES)
    assert {payload.difference for payload in PAYLOADS} - {""} <= {
        difference.id for difference in DIFFERENCES
    }
