"""Checks at run time that a user model which declares itself row-wise is row-wise.

The first two stacks of a layout are small, and each of their messages is also answered by a single
call. In a later stack, single calls also answer a sample of the messages, or none. The answers must
agree before any of them is committed.
"""

from __future__ import annotations

import random
from typing import Dict, Hashable, Iterable, List, Optional, Tuple

import numpy as np

from seldon_kafka.codec.plain import masked
from seldon_kafka.messages import Array, Json, Prediction

ABSOLUTE, RELATIVE = 1e-5, 1e-4
"""Floats agree if |a - b| <= ABSOLUTE + RELATIVE |b|."""

MOST_LAYOUTS = 64
"""Limit of the number of layouts; messages of further layouts are not stacked."""

FIRST_STACKS = (2, 8)
"""Limits of the number of messages in the first and in the second stack of a layout."""

SAMPLE_CALLS = 2
"""Number of single calls that check a later stack of a layout, if it is checked at all."""

MOST_SHARE = 0.02
"""Share of the time of stacked calls that all checks may take; above it no sample is checked."""

SAMPLE_SHARE = 0.005
"""Limit of the time of checks of samples, as a share of the time of stacked calls.

A check costs more than its own time: it empties the core's caches and delays the I/O thread. With
a share of 2 % and eight calls a stack, a backlog took 3 to 7 % longer to drain.
"""

NO_LIMIT = 2**31

MOST_TEXT = 80
"""Longest text of a value in a description of a difference, in characters."""


class StackCheck:
    """Decides how large a stack may be, and which of its messages are checked.

    Args:
        chooser: random generator that chooses the messages of a sample; a new one by default.
    """

    def __init__(self, chooser: Optional[random.Random] = None) -> None:
        self._chooser = chooser or random.Random()  # noqa: S311 - a sample, no secret
        self._passed: Dict[Hashable, int] = {}
        # Total times of stacked calls, of all checks, and of checks of samples; and the moving
        # average of the time of a single call.
        self._stacked_s = 0.0
        self._checked_s = 0.0
        self._sampled_s = 0.0
        self._single_call_s = 0.0

    def limit(self, layout: Hashable) -> int:
        """Returns the largest number of messages in the next stack of a layout; 0 for no stack."""
        if layout not in self._passed:
            if len(self._passed) >= MOST_LAYOUTS:
                return 0
            self._passed[layout] = 0
        passed = self._passed[layout]
        return FIRST_STACKS[passed] if passed < len(FIRST_STACKS) else NO_LIMIT

    def chosen(self, layout: Hashable, messages: int) -> List[int]:
        """Returns the indexes of the messages to check, in a stack with this number of messages."""
        if messages < 2:
            return []
        if self._passed[layout] < len(FIRST_STACKS):
            return list(range(messages))
        count = min(SAMPLE_CALLS, messages)
        left_s = min(
            MOST_SHARE * self._stacked_s - self._checked_s,
            SAMPLE_SHARE * self._stacked_s - self._sampled_s,
        )
        if count * self._single_call_s > left_s:
            return []
        return sorted(self._chooser.sample(range(messages), count))

    def answered(self, seconds: float) -> None:
        """Counts a call with a stack.

        Args:
            seconds: duration of the call, in seconds.
        """
        self._stacked_s += seconds

    def passed(self, layout: Hashable, calls: int, seconds: float) -> None:
        """Counts a check whose answers agreed.

        Args:
            layout: layout of the stack.
            calls: number of single calls.
            seconds: duration of the check, in seconds.
        """
        self._checked_s += seconds
        if self._passed[layout] >= len(FIRST_STACKS):
            self._sampled_s += seconds
        self._passed[layout] += 1
        each = seconds / calls
        self._single_call_s = (
            each if not self._single_call_s else 0.9 * self._single_call_s + 0.1 * each
        )


class NoCheck(StackCheck):
    """Allows stacks of any size and checks none, for callers that compare answers themselves."""

    def limit(self, layout: Hashable) -> int:
        """Returns `NO_LIMIT`."""
        return NO_LIMIT

    def chosen(self, layout: Hashable, messages: int) -> List[int]:
        """Returns an empty list."""
        return []


def difference(stacked: Prediction, single: Prediction) -> Optional[str]:
    """Compares a message's answer from a stack with the answer of a single call.

    Returns:
        A description of the difference; None if the answers agree.
    """
    if stacked.names != single.names:
        return "the class names differ"
    if single.metrics or single.reported:
        # `Pipeline` has already refused an answer to the stack that has metrics.
        return "a single message reports metrics"
    found = differing(stacked.data, single.data, "answer")
    return found or differing(stacked.tags, single.tags, "tags")


def differing(first: Json, second: Json, path: str) -> Optional[str]:
    """Compares plain values: floats within the tolerance, and all others exactly.

    Arrays may differ in the size of their type, such as float32 and float64, but not in its kind.

    Args:
        first: a value.
        second: another value.
        path: path of both values in the answer.

    Returns:
        A description of the difference; None if the values agree.
    """
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return _array_difference(first, second, path)
    if type(first) is not type(second):
        return f"{path} is {_brief(first)} and {_brief(second)}"
    if isinstance(first, dict):
        if first.keys() != second.keys():
            return f"{path} has different keys"
        pairs = ((first[name], second[name], f"{path}.{name}") for name in first)
        return _first_difference(pairs)
    if isinstance(first, list):
        if len(first) != len(second):
            return f"{path} has {len(first)} entries in one and {len(second)} in the other"
        return _first_difference(
            (each, other, f"{path}[{index}]")
            for index, (each, other) in enumerate(zip(first, second))
        )
    if isinstance(first, float):
        found = _array_difference(np.asarray(first), np.asarray(second), path)
        return found and f"{found}: {first} and {second}"
    return None if first == second else f"{path} is {_brief(first)} and {_brief(second)}"


def _brief(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "…"


def _first_difference(pairs: Iterable[Tuple[Json, Json, str]]) -> Optional[str]:
    found = (differing(*pair) for pair in pairs)
    return next((each for each in found if each is not None), None)


def _array_difference(first: Array, second: Array, path: str) -> Optional[str]:
    if first.shape != second.shape:
        return f"{path} has shape {first.shape} in one and {second.shape} in the other"
    if first.dtype.kind != second.dtype.kind:
        return f"{path} has type {first.dtype} in one and {second.dtype} in the other"
    if first.dtype.kind == "O":
        return differing(first.tolist(), second.tolist(), path)
    if not np.array_equal(masked.getmaskarray(first), masked.getmaskarray(second)):
        return f"{path} is masked at other indexes"
    if first.dtype.kind != "f":
        return None if np.array_equal(first, second) else f"{path} differs"
    one, other = masked.filled(first, 0), masked.filled(second, 0)
    if np.allclose(one, other, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True):
        return None
    with np.errstate(all="ignore"):
        apart = np.abs(np.subtract(one, other, dtype=np.float64))
        largest = np.fmax.reduce(apart, axis=None, initial=0.0)
    return f"{path} differs by up to {largest:g}"
