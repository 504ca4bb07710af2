"""What a fault is, and what came of injecting it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tests.faults.scene import Scene


def _always(scene: Scene) -> str | None:
    return None


@dataclasses.dataclass(frozen=True)
class Fault:
    """One way to break things.

    Attributes:
        name: as the report has it.
        part: what it breaks; two faults of one part are not mixed, because what they break
            together is more than was promised.
        inject: breaks it and puts it right again; returns what was seen, in words. The stream
            need not have recovered yet.
        impossible: why it can't be injected here, or None.
        mixes: whether it may come together with faults of other parts.
        stall_s: the longest that readers may be held up by it, where that is promised.
        quick: whether it is in the reduced run.
    """

    name: str
    part: str
    inject: Callable[[Scene], str]
    impossible: Callable[[Scene], str | None] = _always
    mixes: bool = True
    stall_s: float | None = None
    quick: bool = False


@dataclasses.dataclass(frozen=True)
class Injection:
    """One injection of a fault.

    Attributes:
        fault: its name.
        at_s: when, in seconds from the start of the load.
        took_s: until the stream had recovered.
        stall_s: the longest that readers of a partition were held up meanwhile.
        seen: what the fault says of itself.
        mixed_with: the faults that came with it, if any did.
        failure: what went wrong with the injection or the recovery, if something did.
    """

    fault: str
    at_s: float
    took_s: float
    stall_s: float
    seen: str
    mixed_with: str | None = None
    failure: str | None = None


class NotSeen(Exception):
    """A fault did not show what it should; the message says what."""
