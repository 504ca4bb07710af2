"""Messages of all kinds in one batch, bad ones among them, get the answers that they get alone."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.compatibility.classes import CLASSES, Case
from tests.compatibility.pairs import expectations, payloads_of
from tests.compatibility.report import failures, of_each_class, text
from tests.compatibility.runtime import Runtime

pytestmark = pytest.mark.filterwarnings("ignore")

_ORDERS = (1, 2)
# Its first stacks may be right by chance, so that no check can tell that a later one is wrong.
_RIGHT_BY_CHANCE = ("FalselyGuarded", "FalselyWholeOrFraction")
_CASES = [case for case in CLASSES if case.name not in _RIGHT_BY_CHANCE]


@pytest.mark.parametrize("case", of_each_class(_CASES))
def test_all_messages_in_one_batch(case: Case) -> None:
    expected = expectations(case)
    payloads = payloads_of(case)
    first, second = (random.Random(seed).sample(payloads, len(payloads)) for seed in _ORDERS)
    failed = []
    for batches in ([first, first], [second]):
        runtime = Runtime(case)
        found = itertools.chain.from_iterable(map(runtime.answers, batches))
        pairs = expected.in_order(list(itertools.chain.from_iterable(batches)))
        failed += failures(pairs, list(found))
    assert not failed, text(failed)
