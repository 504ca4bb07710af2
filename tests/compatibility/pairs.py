"""One class and one message: the answer that is expected, and the verdict on another."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from tests.compatibility.answer import Answer, Reply
from tests.compatibility.classes.case import Case
from tests.compatibility.comparison import puid_of, same, without_puid
from tests.compatibility.foreign import is_tfserving_of, is_v2_of
from tests.compatibility.payloads import FEW, PAYLOADS, Payload
from tests.compatibility.seldon import Reference


@dataclass(frozen=True, eq=False)
class Pair:
    """A class and a message. Pairs are compared by identity, so that verdicts can be kept.

    Attributes:
        case: the class.
        payload: the message.
        expected: Seldon's answer to the message that is meant.
        array: the array that it was made of; None if of none.
        is_raw: whether the class composed the reply itself.
    """

    case: Case
    payload: Payload
    expected: Answer
    array: Any
    is_raw: bool

    def __str__(self) -> str:
        return f"{self.case.name} / {self.payload.name}"

    def agrees(self, found: Answer) -> bool:
        """Whether an answer is the expected one, apart from an id that Seldon does not write."""
        expected = self.expected
        if not isinstance(expected, Reply) or not isinstance(found, Reply):
            return same(expected, found)
        if self.payload.route not in ("v2", "tfserving") or self.is_raw:
            if puid_of(expected) is not None:
                return same(expected, found)
            return same(without_puid(expected), without_puid(found))
        if self.payload.route == "v2":
            sent = self.payload.sent_puid
            is_kept = not sent or found.document.get("id") == sent
            return is_kept and is_v2_of(expected.document, self.array, found.document)
        return is_tfserving_of(expected.document, found.document)


def payloads_of(case: Case) -> tuple[Payload, ...]:
    """The messages that the class is asked about."""
    return FEW if case.is_about_replies else PAYLOADS


class Expectations:
    """Makes pairs of one class, with one Flask app.

    Args:
        case: the class.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self._reference = Reference(case)
        self._alone: dict[Payload, Pair] = {}

    def alone(self, payload: Payload) -> Pair:
        """The pair for a new instance of the class."""
        if payload not in self._alone:
            self._reference.restart()
            self._alone[payload] = self._next(payload)
        return self._alone[payload]

    def in_order(self, payloads: list[Payload]) -> list[Pair]:
        """The pairs for one new instance that gets all of these messages, one after the other."""
        if not self._case.counts_calls:
            return [self.alone(payload) for payload in payloads]
        self._reference.restart()
        return [self._next(payload) for payload in payloads]

    def of_seldon(self, payload: Payload) -> Answer:
        """Seldon's own answer to the message, as a new instance gives it."""
        self._reference.restart()
        return self._reference.as_seldon(payload)

    def _next(self, payload: Payload) -> Pair:
        reference = self._reference
        answer = reference.intended(payload)
        return Pair(self._case, payload, answer, reference.array, reference.is_raw)


@functools.cache
def expectations(case: Case) -> Expectations:
    """The expectations of a class, made once in a process."""
    return Expectations(case)
