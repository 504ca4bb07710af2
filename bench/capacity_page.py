"""Keeps what docs/capacity.md shows of the calculator what the calculator says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

from bench import capacity

FILE = "capacity.md"

# A command in a block of code, and the lines that it printed.
_SHOWN = re.compile(r"^\$ python -m bench\.capacity (.+)\n(?:(?!```).+\n)*", re.MULTILINE)


def refresh(results: Path) -> Path | None:
    """Puts into the page beside the results what its commands print now.

    Args:
        results: what the bench has measured.

    Returns:
        The page; None if there is none, or if not all that it needs has been measured.
    """
    page = results.parent / FILE
    if not page.exists():
        return None
    text = page.read_text(encoding="utf-8")
    try:
        page.write_text(refreshed(text, results), encoding="utf-8")
    except capacity.NoFigures:
        return None
    return page


def refreshed(text: str, results: Path) -> str:
    """The page's text with what its commands print now.

    Raises:
        NoFigures: the bench has not measured what one of them needs.
    """
    return _SHOWN.sub(lambda shown: _run(shown.group(1), results), text)


def _run(arguments: str, results: Path) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = capacity.main([*shlex.split(arguments), "--results", str(results)])
    if status != 0:
        raise capacity.NoFigures(arguments)
    return f"$ python -m bench.capacity {arguments}\n{printed.getvalue()}"
