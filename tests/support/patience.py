"""How long tests wait, and how they check promises of time.

A limit that only guards against hanging is passed through `patient`: tests state what a quick
machine needs, and a slow one gets several times as much. A promise of time, such as how soon a
process exits after SIGTERM, is passed through `promised`: only `make test-full`, which sets
STRICT_TIMES, holds the machine to it.
"""

from __future__ import annotations

import os

PATIENCE = 5


def patient(seconds: float) -> float:
    """Returns a limit against hanging, long enough for a slow and busy machine.

    Args:
        seconds: enough for a quick machine that does nothing else.
    """
    return PATIENCE * seconds


def promised(seconds: float) -> float:
    """Returns the bound for something that is promised to take less than so many seconds.

    Returns:
        The promise itself if STRICT_TIMES is set, or else a limit against hanging.
    """
    return seconds if os.environ.get("STRICT_TIMES") else patient(seconds)
