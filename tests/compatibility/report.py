"""Texts of failures, and the tests' parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from tests.compatibility.answer import Answer
from tests.compatibility.classes import CLASSES, Case
from tests.compatibility.differences import verdict
from tests.compatibility.pairs import Pair

_MOST_FAILURES, _LONGEST = 8, 400


def of_each_class(cases: Iterable[Case] = CLASSES) -> list[Any]:
    """Parameters for a test of each class; tests of one class go to one worker."""
    return [
        pytest.param(
            case, id=case.name, marks=pytest.mark.xdist_group(f"compatibility-{case.name}")
        )
        for case in cases
    ]


def failures(pairs: Sequence[Pair], found: Sequence[Answer]) -> list[str]:
    """The wrong answers, in words."""
    assert len(pairs) == len(found)
    return [
        f"{pair}\n  expected {str(pair.expected)[:_LONGEST]}\n  found    {str(answer)[:_LONGEST]}"
        for pair, answer in zip(pairs, found, strict=True)
        if verdict(pair, answer) is None
    ]


def text(failed: Sequence[str]) -> str:
    """The first of the failures."""
    rest = len(failed) - _MOST_FAILURES
    more = [f"and {rest} more"] if rest > 0 else []
    return "\n".join(["", *failed[:_MOST_FAILURES], *more])
