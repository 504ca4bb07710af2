"""Keeps what docs/capacity.md shows of the calculator what the calculator says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from bench.capacity import answer

FILE = "capacity.md"

# A command in a block of code, and the lines that it printed.
_SHOWN = re.compile(
    r"^(?P<command>\$ python -m bench\.capacity (?P<arguments>.+)\n)(?:(?!```).+\n)*", re.MULTILINE
)


def refresh(page: Path, results: Path) -> None:
    """Puts into the page what its commands print now.

    Args:
        page: the file.
        results: what the bench has measured.

    Raises:
        NoFigures: not all that the page needs has been measured; it stays as it is.
    """
    page.write_text(refreshed(page.read_text(encoding="utf-8"), results), encoding="utf-8")


def refreshed(text: str, results: Path) -> str:
    """The page's text with what its commands print now.

    Raises:
        NoFigures: the bench has not measured what one of them needs.
    """

    def anew(shown: re.Match[str]) -> str:
        arguments = shlex.split(shown["arguments"])
        return shown["command"] + answer([*arguments, "--results", str(results)]) + "\n"

    return _SHOWN.sub(anew, text)
