"""Many messages of one layout each get their own answer."""

from __future__ import annotations

import itertools

import pytest

from tests.compatibility.classes import CLASSES, Case
from tests.compatibility.pairs import expectations
from tests.compatibility.report import failures, of_each_class, text
from tests.compatibility.runtime import Runtime
from tests.compatibility.stacks import batches

pytestmark = pytest.mark.filterwarnings("ignore")

_ROW_WISE = [case for case in CLASSES if case.is_row_wise and not case.is_declared]


@pytest.mark.parametrize("case", of_each_class())
def test_messages_of_one_layout(case: Case) -> None:
    failed = _failures(case, "auto")
    assert not failed, text(failed)


@pytest.mark.parametrize("case", of_each_class(_ROW_WISE))
def test_the_operator_declares_that_the_class_is_row_wise(case: Case) -> None:
    failed = _failures(case, "on")
    assert not failed, text(failed)


def _failures(case: Case, batching: str) -> list[str]:
    runtime = Runtime(case, batching)
    each = batches(case)
    found = itertools.chain.from_iterable(runtime.answers(batch) for batch in each)
    pairs = expectations(case).in_order(list(itertools.chain.from_iterable(each)))
    return failures(pairs, list(found))
