"""Parses times in ISO format."""

from __future__ import annotations

import datetime
import re


def parse_iso(text: str) -> datetime.datetime:
    """Parses an ISO date or time; the result has a zone only if the text has one.

    Raises:
        ValueError: the text is no date or time.
    """
    # Python 3.8 does not know the Z.
    return datetime.datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text.strip()))
