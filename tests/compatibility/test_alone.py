"""Every class answers every message that stands alone as Seldon does."""

from __future__ import annotations

import pytest

from tests.compatibility.classes import CLASSES, Case
from tests.compatibility.pairs import expectations, payloads_of
from tests.compatibility.payloads import PAYLOADS
from tests.compatibility.report import failures, of_each_class, text
from tests.compatibility.runtime import answers

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("case", of_each_class())
def test_each_message_alone(case: Case) -> None:
    pairs = [expectations(case).alone(payload) for payload in payloads_of(case)]
    failed = failures(pairs, [answers(case, [pair.payload])[0] for pair in pairs])
    assert not failed, text(failed)


@pytest.mark.parametrize("case", of_each_class(CLASSES[:3]))
def test_batching_off_changes_nothing(case: Case) -> None:
    pairs = [expectations(case).alone(payload) for payload in payloads_of(case)]
    failed = failures(pairs, [answers(case, [pair.payload], "off")[0] for pair in pairs])
    assert not failed, text(failed)


def test_there_are_many_classes_and_messages_and_their_names_differ() -> None:
    assert len(CLASSES) == len({case.name for case in CLASSES}) >= 80
    assert len(PAYLOADS) == len({payload.name for payload in PAYLOADS}) >= 30
