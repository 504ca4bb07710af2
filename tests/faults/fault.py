"""The description of a fault, and the result of an injection."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tests.faults.context import RunContext


def _always(context: RunContext) -> str | None:
    return None


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault that can be injected.

    Attributes:
        name: name in the report.
        part: the part that it breaks. Two faults of one part are not mixed, because together
            they may exceed the promises.
        inject: injects the fault and repairs it; returns a description of its effect. The stream
            may still be recovering.
        impossible: returns why the fault cannot be injected here, or None.
        mixes: whether it may be mixed with faults of other parts.
        stall_s: promised limit of a stall in seconds, if there is one.
        quick: whether it is part of the reduced run.
    """

    name: str
    part: str
    inject: Callable[[RunContext], str]
    impossible: Callable[[RunContext], str | None] = _always
    mixes: bool = True
    stall_s: float | None = None
    quick: bool = False


@dataclasses.dataclass(frozen=True)
class Injection:
    """One injection of a fault.

    Attributes:
        fault: name of the fault.
        at_s: seconds from the start of the load to the injection.
        took_s: seconds until the stream had recovered.
        stall_s: longest stall of a partition's readers in seconds.
        seen: description of the effect.
        mixed_with: names of the other faults, if there were any.
        failure: error of the injection or the recovery, if there was one.
    """

    fault: str
    at_s: float
    took_s: float
    stall_s: float
    seen: str
    mixed_with: str | None = None
    failure: str | None = None


class FaultNotObserved(Exception):
    """A fault did not have the expected effect; the message says why."""
