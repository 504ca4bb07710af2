"""The status that a worker sends to its supervisor: JSON lines through a pipe."""

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

# Exit status of a worker that stopped on purpose; the supervisor must not restart it.
EXIT_STOPPED = 70


class WorkerStatus(NamedTuple):
    """A worker's state.

    Attributes:
        state: `starting`, `joining` the group, `ready`, `stalled` (the worker can't continue now,
            and tries again), `halted` or `gap` (the worker stopped until an operator acts).
        detail: the reason for `stalled`, `halted` or `gap`; empty in other states.
        partitions: the partitions that it reads.
        progress: number of transactions that it has committed.
        batching: `stacked`, or the reason for calling the user model message by message; empty
            before the first report.
    """

    state: str = STARTING
    detail: str = ""
    partitions: Tuple[int, ...] = ()
    progress: int = 0
    batching: str = ""


class StatusPipe:
    """The worker's end of the pipe to its supervisor.

    Args:
        descriptor: file descriptor of the pipe; None without a supervisor.
    """

    def __init__(self, descriptor: Optional[int]) -> None:
        self._descriptor = descriptor
        self._last = WorkerStatus()

    @property
    def last(self) -> WorkerStatus:
        """The last status that was reported, or the initial one."""
        return self._last

    def report(self, status: WorkerStatus) -> None:
        """Sends the status to the supervisor if it differs from the last one."""
        if status == self._last:
            return
        self._last = status
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, (json.dumps(status._asdict()) + "\n").encode("utf-8"))
        except BrokenPipeError:
            # The supervisor has ended; this process ends soon.
            self._descriptor = None


def parse_status(line: bytes) -> Optional[WorkerStatus]:
    """Returns the status in one line; None if the line is not a whole status."""
    try:
        fields = json.loads(line)
        partitions: List[int] = fields.pop("partitions")
        return WorkerStatus(partitions=tuple(partitions), **fields)
    except (ValueError, KeyError, TypeError):
        return None
