"""Times as people write them."""

from __future__ import annotations

import datetime
import re


def parse_iso(text: str) -> datetime.datetime:
    """An ISO date or time; with no zone where it names none.

    Raises:
        ValueError: it is none.
    """
    # Python 3.8 does not know the Z.
    return datetime.datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text.strip()))
