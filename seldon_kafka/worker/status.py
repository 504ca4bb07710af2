"""What a worker tells its supervisor: JSON lines through a pipe."""

from __future__ import annotations

import json
import os
from typing import List, NamedTuple, Optional, Tuple

STARTING = "starting"
JOINING = "joining"
READY = "ready"
STALLED = "stalled"
HALTED = "halted"
GAP = "gap"
STACKED = "stacked"

# Exit status of a worker that stopped on purpose and must not be started again by itself.
EXIT_STOPPED = 70


class WorkerStatus(NamedTuple):
    """A worker's state.

    Attributes:
        state: `starting`, `joining` the group, `ready`, `stalled` (it can't go on now, but
            tries), `halted` or stopped at a `gap` (it goes on only when an operator says so).
        detail: why, for the last three.
        partitions: what it reads.
        progress: how many transactions it has committed.
        batching: `stacked`, or why the class is called message by message.
    """

    state: str = STARTING
    detail: str = ""
    partitions: Tuple[int, ...] = ()
    progress: int = 0
    batching: str = ""


class StatusPipe:
    """The worker's end of the pipe.

    Args:
        descriptor: file descriptor to write to; None writes nowhere.
    """

    def __init__(self, descriptor: Optional[int]) -> None:
        self._descriptor = descriptor
        self._last = WorkerStatus()

    @property
    def last(self) -> WorkerStatus:
        """What was told last."""
        return self._last

    def tell(self, status: WorkerStatus) -> None:
        """Tells the status, if it is another one than the last."""
        if status == self._last:
            return
        self._last = status
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, (json.dumps(status._asdict()) + "\n").encode("utf-8"))
        except BrokenPipeError:
            # The supervisor is gone; SIGTERM or the end of this process follows.
            self._descriptor = None


def parse_status(line: bytes) -> Optional[WorkerStatus]:
    """The status in one line, or None if the line is torn."""
    try:
        fields = json.loads(line)
        partitions: List[int] = fields.pop("partitions")
        return WorkerStatus(partitions=tuple(partitions), **fields)
    except (ValueError, KeyError, TypeError):
        return None
