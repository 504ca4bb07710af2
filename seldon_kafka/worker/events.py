"""What the intake of a worker tells, and whom."""

from __future__ import annotations

from typing import Callable, Dict, NamedTuple

from seldon_kafka.worker.offsets import Gap


class Events(NamedTuple):
    """What the intake tells.

    Attributes:
        assigned: the position of each partition that is ours now, and what was committed beside
            it; also when there are none.
        revoked: no partition is ours now.
        gap: messages were deleted before they were read.
        trouble: why nothing comes, in words.
        stopping: asked whether the worker is to leave.
    """

    assigned: Callable[[Dict[int, int], Dict[int, str]], None]
    revoked: Callable[[], None]
    gap: Callable[[Gap], None]
    trouble: Callable[[str], None]
    stopping: Callable[[], bool]
